"""Checks of data and predictions by Deepchecks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from dovetail.components import Check, DataValidator, Examined, Finding, Verdict
from dovetail_deepchecks import page, running

_DRIFTED = 0.2  # what Deepchecks' own condition allows
_SCORES: Mapping[str, Mapping[str, tuple[str, float]]] = {
    "classification": {
        "accuracy": ("accuracy", 1.0),
        "precision_macro": ("precision", 1.0),
        "recall_macro": ("recall", 1.0),
        "f1_macro": ("f1", 1.0),
    },
    "regression": {"neg_mae": ("mae", -1.0), "neg_rmse": ("rmse", -1.0), "r2": ("r2", 1.0)},
}


class DeepchecksValidator(DataValidator):
    """Runs checks of Deepchecks; its telemetry is off.

    Besides the portable checks it takes Deepchecks' by their classes' names (`"DataDuplicates"`) and its suites (`"data_integrity"`). Conditions
    are given by name: options={"conditions": {"ratio_less_or_equal": {"max_ratio": 0.01}}}.
    """

    portable: ClassVar[tuple[str, ...]] = ("drift", "quality", "classification", "regression")

    def version(self) -> str:
        from importlib.metadata import version

        return version("deepchecks")

    def own_checks(self) -> Mapping[str, str]:
        return running.check_names()

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        ran: list[running.Ran] = []
        findings: list[Finding] = []
        told: dict[str, Any] = {}
        names = {running.harmless(str(name)): str(name) for name in current.columns}
        then = None if reference is None else running.harmless_frame(reference)
        now = running.harmless_frame(current)
        for check in checks:
            before = len(ran)
            found = _findings(_harmless(check), then, now, ran)
            findings += [replace(each, column=names.get(each.column, each.column)) if each.column else each for each in found]
            told[check.label] = [_told(each) for each in ran[before:]]
        shown = [each.result for each in ran if each.result is not None]
        return Examined(findings, page.page(shown), {"checks": told})


def _harmless(check: Check) -> Check:
    columns = [running.harmless(name) for name in check.columns]
    return replace(check, columns=columns, target=running.harmless(check.target), prediction=running.harmless(check.prediction))


def _findings(check: Check, reference: Any, current: Any, ran: list[running.Ran]) -> Iterator[Finding]:
    if check.name == "drift":
        return _drift(check, reference, current, ran)
    if check.name == "quality":
        return _quality(check, current, ran)
    if check.name in _SCORES:
        return _scores(check, current, ran)
    return _own(check, reference, current, ran)


def _run(check: Check, asked: Any, reference: Any, current: Any, columns: Sequence[Any], ran: list[running.Ran]) -> running.Ran:
    frames = {name: frame for name, frame in (("reference", reference), ("current", current)) if frame is not None}
    done = running.run(asked, check, frames, columns)
    ran.append(done)
    return done


def _drift(check: Check, reference: Any, current: Any, ran: list[running.Ran]) -> Iterator[Finding]:
    columns = list(check.columns) or list(current.columns)
    kinds = {name: running.kind(reference[name]) for name in columns}
    compared = [name for name in columns if kinds[name] != "other" and running.kind(current[name]) == kinds[name]]
    (asked,) = running.made("FeatureDrift", {"conditions": {"drift_score_less_than": {}}, **check.options})
    done = _run(Check("drift"), asked, reference, current, compared, ran) if compared else running.Ran("drift")
    scores = done.result.value if done.result is not None else {}
    drifted = 0
    measured = 0
    for name in columns:
        score = scores.get(str(name), {}).get("Drift score")
        if score is None:
            detail = done.problem or "Deepchecks compares numbers and texts, of one kind in both frames"
            yield Finding(check.label, "drift", None, column=str(name), detail=detail)
            continue
        measured += 1
        drifted += score >= _DRIFTED
        verdict = Verdict.WARN if score >= _DRIFTED else Verdict.PASS
        yield Finding(check.label, "drift", float(score), verdict, str(name), f"drift < {_DRIFTED}", str(scores[str(name)]["Method"]))
    share = drifted / measured if measured else None
    failed = Verdict.FAIL if share is not None and share >= 0.5 else Verdict.PASS
    yield Finding(check.label, "drifted_share", share, failed, requirement="drifted_share < 0.5", detail="" if measured else done.problem)


def _quality(check: Check, current: Any, ran: list[running.Ran]) -> Iterator[Finding]:
    columns = list(check.columns) or list(current.columns)
    looked_at = current[columns]
    (asked,) = running.made("PercentOfNulls", {})
    done = _run(Check("quality"), asked, None, looked_at, columns, ran)
    shares = dict(done.result.value["Percent of nulls in sample"]) if done.result is not None else {}
    yield Finding(check.label, "missing_share", sum(shares.values()) / len(columns) if shares else None, detail=done.problem)
    for name in columns:
        yield Finding(check.label, "missing_share", shares.get(str(name)), column=str(name))
    (asked,) = running.made("DataDuplicates", {})
    done = _run(Check("quality"), asked, None, looked_at, columns, ran)
    yield Finding(check.label, "duplicated_share", None if done.result is None else float(done.result.value), detail=done.problem)


def _scores(check: Check, current: Any, ran: list[running.Ran]) -> Iterator[Finding]:
    names = _SCORES[check.name]
    (asked,) = running.made("SingleDatasetPerformance", {"scorers": list(names)})
    pair = current[list(dict.fromkeys((check.target, check.prediction)))]
    pair = pair.assign(row=range(len(pair)))  # Deepchecks wants a feature, whatever it is
    kind = "regression" if check.name == "regression" else "multiclass"
    named = Check(check.name, target=check.target, prediction=check.prediction, options={"dataset": {"label_type": kind}})
    done = _run(named, asked, None, pair, ["row"], ran)
    values = dict(zip(done.result.value["Metric"], done.result.value["Value"], strict=True)) if done.result is not None else {}
    for scorer, (metric, sign) in names.items():
        value = values.get(scorer)
        yield Finding(check.label, metric, None if value is None else sign * float(value), detail=done.problem)


def _own(check: Check, reference: Any, current: Any, ran: list[running.Ran]) -> Iterator[Finding]:
    columns = list(check.columns) or list(current.columns)
    asked = running.made(check.name, check.options)
    for each in asked:
        done = _run(check, each, reference, current, columns, ran)
        if done.result is None:
            alone = len(asked) == 1  # a suite has checks that not every frame can be asked
            yield Finding(check.label, "value", None, Verdict.FAIL if alone else Verdict.PASS, detail=f"{done.name}: {done.problem}")
            continue
        if len(asked) == 1:
            for metric, column, number in running.numbers_of(done.result.value, [str(name) for name in current.columns]):
                yield Finding(check.label, metric, number, column=column)
        yield from _conditions(check, done)


def _conditions(check: Check, done: running.Ran) -> Iterator[Finding]:
    verdicts = {"PASS": Verdict.PASS, "WARN": Verdict.WARN, "FAIL": Verdict.FAIL, "ERROR": Verdict.FAIL}
    for condition in done.result.conditions_results:
        category = condition.category.value
        met = None if category == "ERROR" else float(category == "PASS")
        yield Finding(check.label, "condition", met, verdicts[category], requirement=condition.name, detail=f"{done.name}: {condition.details}")


def _told(ran: running.Ran) -> Any:
    if ran.result is None:
        return {"check": ran.name, "problem": ran.problem}
    conditions = [{"condition": each.name, "category": each.category.value, "details": each.details} for each in ran.result.conditions_results]
    return {"check": ran.name, "value": _tabled(ran.result.value), "conditions": conditions}


def _tabled(value: Any) -> Any:
    """Frames, wherever they stand in a result, by column and row."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _tabled(item) for key, item in value.items()}
    return value
