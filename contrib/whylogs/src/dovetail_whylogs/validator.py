"""Checks of data by whylogs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dovetail.components import Check, DataValidator, Examined, Finding, Verdict
from dovetail.errors import DefinitionError

_PROFILE, _CONSTRAINTS = "profile", "constraints"
_SUMMARY = {
    "distinct": "cardinality/est",
    "mean": "distribution/mean",
    "stddev": "distribution/stddev",
    "min": "distribution/min",
    "median": "distribution/median",
    "max": "distribution/max",
}


class WhylogsValidator(DataValidator):
    """Profiles frames with whylogs and compares the profiles; whylogs's usage statistics are off.

    Besides the portable checks it takes constraints: by the names of their factories, by import strings into the project
    (`"flights.limits:constraints"`), or as objects; and `profile`, which measures and judges nothing.
    """

    portable: ClassVar[tuple[str, ...]] = ("drift", "schema")

    def version(self) -> str:
        from importlib.metadata import version

        return version("whylogs")

    def own_checks(self) -> Mapping[str, str]:
        from dovetail_whylogs.profiles import factory_names

        objects = "constraints of your own: options={'constraints': …}, or their import string `module:name` in place of the check's name"
        measured = f"missing_share, {', '.join(_SUMMARY)} of each column, as the profile has them"
        return {_PROFILE: measured, _CONSTRAINTS: objects, **factory_names()}

    def knows(self, name: str) -> bool:
        return ":" in name or super().knows(name)

    def as_check(self, given: Any) -> Check:
        from dovetail_whylogs.profiles import is_constraint

        if not is_constraint(given):
            return super().as_check(given)
        return Check(_CONSTRAINTS, options={"constraints": [given]}, label=str(given.name))

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        from dovetail_whylogs.profiles import profile, summary

        now = profile(current, current.columns)
        before = profile(reference, reference.columns) if reference is not None else None
        findings: list[Finding] = []
        told: dict[str, Any] = {}
        for check in checks:
            columns = list(check.columns) or [str(name) for name in current.columns]
            findings += _findings(check, columns, before, now, told.setdefault(check.label, []))
        return Examined(findings, report={"checks": told, "profile": {str(name): summary(now, str(name)) for name in current.columns}})


def _findings(check: Check, columns: Sequence[str], before: Any, now: Any, told: list[Any]) -> Iterator[Finding]:
    if check.name == "drift":
        return _drift(check, columns, before, now, told)
    if check.name == "schema":
        return _schema(check, columns, before, now, told)
    if check.name == _PROFILE:
        return _profiled(check, columns, now)
    return _constraints(check, columns, now, told)


def _drift(check: Check, columns: Sequence[str], before: Any, now: Any, told: list[Any]) -> Iterator[Finding]:
    """A column's score is 1 - p, which grows with the drift; p is that of whylogs's test, and whylogs says whether it is drift."""
    from dovetail_whylogs.profiles import drift

    scores = drift(before, now)
    told.append({name: scores.get(name) for name in columns})
    moved = 0
    scored = [name for name in columns if scores.get(name) is not None]
    for name in columns:
        score = scores.get(name)
        if score is None:
            yield Finding(check.label, "drift", None, column=name, detail="whylogs compares numbers and texts")
            continue
        drifted = score["drift_category"] == "DRIFT"
        moved += drifted
        detail = f"{score['algorithm']}, p {score['pvalue']:.3g}, {score['drift_category'].lower().replace('_', ' ')}"
        yield Finding(check.label, "drift", 1 - float(score["pvalue"]), Verdict.WARN if drifted else Verdict.PASS, name, detail=detail)
    share = moved / len(scored) if scored else None
    verdict = Verdict.FAIL if share is not None and share >= 0.5 else Verdict.PASS
    yield Finding(check.label, "drifted_share", share, verdict, requirement="drifted_share < 0.5")


def _schema(check: Check, columns: Sequence[str], before: Any, now: Any, told: list[Any]) -> Iterator[Finding]:
    """The number of constraints that do not hold, in all and of each column of which one does not."""
    from dovetail_whylogs.profiles import MOST_VALUES, hold, implied_by

    kept = [hold(now, each) for each in implied_by(before, columns, int(check.options.get("most_values", MOST_VALUES)))]
    told += [vars(each) for each in kept]
    broken: dict[str, list[str]] = {}
    for each in kept:
        if not each.passed:
            broken.setdefault(str(each.column), []).append(f"{each.name:.120}{f' ({each.problem})' if each.problem else ''}")
    count = sum(map(len, broken.values()))
    yield Finding(check.label, "violations", float(count), Verdict.FAIL if count else Verdict.PASS, requirement="violations == 0")
    for column, said in broken.items():
        yield Finding(check.label, "violations", float(len(said)), Verdict.FAIL, column, "violations == 0", "; ".join(said))


def _profiled(check: Check, columns: Sequence[str], now: Any) -> Iterator[Finding]:
    from dovetail_whylogs.profiles import summary

    for name in columns:
        known = summary(now, name)
        yield Finding(check.label, "missing_share", known["counts/null"] / known["counts/n"], column=name)
        for metric, key in _SUMMARY.items():
            value = known.get(key)
            if value is not None and math.isfinite(value) and (key.startswith("cardinality") or known.get("distribution/n")):
                yield Finding(check.label, metric, float(value), column=name)


def _constraints(check: Check, columns: Sequence[str], now: Any, told: list[Any]) -> Iterator[Finding]:
    from dovetail_whylogs.profiles import constraints_of, hold

    if check.name == _CONSTRAINTS and not check.options.get("constraints"):
        raise DefinitionError(f"Check('{_CONSTRAINTS}') was given none. Give some: options={{'constraints': [...]}}, or name those of your project.")
    asked = check.options["constraints"] if check.name == _CONSTRAINTS else constraints_of(check.name, columns, check.options)
    for constraint in asked:
        kept = hold(now, constraint)
        told.append(vars(kept))
        verdict = Verdict.PASS if kept.passed else Verdict.FAIL
        value = None if kept.problem else float(kept.passed)
        yield Finding(check.label, "success", value, verdict, kept.column, kept.name, kept.problem)
