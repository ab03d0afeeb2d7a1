"""Checks of data by Great Expectations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dovetail.components import Check, DataValidator, Examined, Finding, Verdict


class GreatExpectationsValidator(DataValidator):
    """Asks the expectations of Great Expectations of frames, in a context of its own that is kept in memory only.

    Besides the portable checks it takes expectations by their classes' names, by import strings into the project
    (`"flights.expected:suite"`), or as objects.
    """

    portable: ClassVar[tuple[str, ...]] = ("quality", "schema")
    process_wide_state: ClassVar[bool] = True  # the newest context is the one that Great Expectations takes for the process's

    def version(self) -> str:
        from importlib.metadata import version

        return version("great-expectations")

    def own_checks(self) -> Mapping[str, str]:
        from dovetail_great_expectations.asking import names

        return names()

    def knows(self, name: str) -> bool:
        return ":" in name or super().knows(name)

    def as_check(self, given: Any) -> Check:
        from dovetail_great_expectations.asking import is_expectation

        if not is_expectation(given):
            return super().as_check(given)
        name = type(given).__name__
        column = getattr(given, "column", None)
        return Check(name, options={"expectation": given}, label=f"{name}({column})" if isinstance(column, str) else name)

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        numbered = current.reset_index(drop=True)  # rows are told by their index
        findings: list[Finding] = []
        report: dict[str, list[Any]] = {}
        for check in checks:
            findings += self._findings(reference, numbered, check, report.setdefault(check.label, []))
        return Examined(findings, report={"checks": report})

    def _findings(self, reference: Any, current: Any, check: Check, told: list[Any]) -> Iterator[Finding]:
        columns = list(check.columns) or list(current.columns)
        if check.name == "quality":
            return _quality(check, current[columns], told)
        if check.name == "schema":
            return _schema(check, reference, current, columns, told)
        return _own(check, current, told)


def _quality(check: Check, current: Any, told: list[Any]) -> Iterator[Finding]:
    from dovetail_great_expectations.asking import ask
    from dovetail_great_expectations.expected import no_cell_missing, numbered_by_content, rows_to_differ

    answers = ask(current, no_cell_missing(current.columns))
    told += [answer.told for answer in answers]
    yield Finding(check.label, "missing_share", sum(answer.result["unexpected_count"] for answer in answers) / current.size)
    for answer in answers:
        yield Finding(check.label, "missing_share", answer.result["unexpected_count"] / len(current), column=answer.columns[0])
    try:
        (unique,) = ask(numbered_by_content(current), [rows_to_differ(len(current))])
    except TypeError as error:  # cells that cannot be told apart, such as lists
        yield Finding(check.label, "duplicated_share", None, detail=str(error))
        return
    told.append(unique.told)
    yield Finding(check.label, "duplicated_share", 1 - unique.result["observed_value"] / len(current))


def _schema(check: Check, reference: Any, current: Any, columns: Sequence[Any], told: list[Any]) -> Iterator[Finding]:
    """The number of expectations that are not met, in all and of each column that does not meet one."""
    from dovetail_great_expectations.asking import ask
    from dovetail_great_expectations.expected import MOST_VALUES, by_reference

    answers = ask(current, by_reference(reference, columns, int(check.options.get("most_values", MOST_VALUES))))
    told += [answer.told for answer in answers]
    broken: dict[str, list[str]] = {}
    for answer in answers:
        if not answer.success:
            broken.setdefault(answer.columns[0], []).append(_words(answer))
    count = sum(map(len, broken.values()))
    yield Finding(check.label, "violations", float(count), Verdict.FAIL if count else Verdict.PASS, requirement="violations == 0")
    for column, said in broken.items():
        yield Finding(check.label, "violations", float(len(said)), Verdict.FAIL, column, "violations == 0", "; ".join(said))


def _own(check: Check, current: Any, told: list[Any]) -> Iterator[Finding]:
    from dovetail_great_expectations.asking import ask, expectations_of

    given = check.options.get("expectation")
    every = [str(name) for name in current.columns]
    asked = [given] if given is not None else expectations_of(check.name, check.columns, every, check.options)
    for answer in ask(current, asked):
        told.append(answer.told)
        metric, value = _measured(answer)
        verdict = Verdict.PASS if answer.success else Verdict.WARN if answer.warns else Verdict.FAIL
        column = answer.columns[0] if len(answer.columns) == 1 else None
        yield Finding(check.label, metric, value, verdict, column, answer.expectation.expectation_type, "" if answer.success else _words(answer))


def _measured(answer: Any) -> tuple[str, float | None]:
    """The number that the expectation is about: a share of rows, what was observed, or whether it is met."""
    if answer.problem:
        return "success", None
    if "unexpected_percent" in answer.result:
        percent = answer.result["unexpected_percent"]
        return "unexpected_share", None if percent is None else percent / 100
    observed = answer.result.get("observed_value")
    if isinstance(observed, (int, float)) and not isinstance(observed, bool):
        return "observed", float(observed)
    return "success", float(answer.success)


def _words(answer: Any) -> str:
    """Which expectation, and what was seen instead."""
    name = answer.expectation.expectation_type
    if answer.problem:
        return f"{name}: {answer.problem}"
    if "unexpected_count" in answer.result:
        count, some = answer.result["unexpected_count"], answer.result.get("partial_unexpected_list") or [""]
        return f"{name}: {count} {'row' if count == 1 else 'rows'}, such as {some[0]!s:.60}"
    return f"{name}: {answer.result.get('observed_value')!s:.80}"
