"""Checks data, alone or against a reference, and says in one shape what it found."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from dovetail.components.component import Component
from dovetail.components.validation_page import validation_page
from dovetail.errors import DefinitionError, near
from dovetail.values.encoding import Json
from dovetail.values.requirement import Requirement
from dovetail.values.validation import Check, Finding, Validation, Verdict

PORTABLE = {
    "drift": "how far the columns have moved from the reference",
    "quality": "missing cells and repeated rows",
    "schema": "columns, types and ranges as the reference has them",
    "classification": "how right a predicted class is",
    "regression": "how near a predicted number is",
}
_NEED_REFERENCE = ("drift", "schema")
_NEED_PREDICTION = ("classification", "regression")


@dataclass(frozen=True)
class Examined:
    """What a validator measured, with its own verdict on each metric, and its own report.

    `html`: a whole page that shows without a network; a plain one of the findings is made where it is empty. `report`: what JSON
    can hold of the rest; numbers of numpy are taken as they are, NaN becomes null, and anything else its text.
    """

    findings: Sequence[Finding]
    html: str = ""
    report: Any = field(default_factory=dict)


class DataValidator(Component):
    """`validate` is for people to call: `stack.data_validator.validate(reference, current, ["drift", Check("quality", …)])`.

    `portable`: those of the portable checks that it can do.
    """

    component_type: ClassVar[str] = "data_validator"
    portable: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        """Measure. `reference`: a pandas frame or None, `current`: a pandas frame with the same columns; neither is empty, neither may be changed.

        Each check is one that it knows; a finding's `check` is the check's label.
        """

    @abstractmethod
    def own_checks(self) -> Mapping[str, str]:
        """Checks beyond the portable ones, by name, with a few words on what each looks at."""

    @abstractmethod
    def version(self) -> str:
        """Of the library that does the work."""

    def knows(self, name: str) -> bool:
        """Whether `examine` can do a check of this name; for a validator that takes more names than it can list."""
        return name in self.portable or name in self.own_checks()

    def as_check(self, given: Any) -> Check:
        """What stands for an object of the library's own among the checks; for a validator that takes such objects."""
        raise DefinitionError(f"{_who(self)} was given {given!r:.80} as a check. Give a name such as 'quality', or Check(…).")

    def validate(self, reference: Any, current: Any, checks: Iterable[str | Check]) -> Validation:
        """Look at `current`, alone where `reference` is None: frames of pandas, or what has `to_pandas()`.

        Raises DefinitionError, before anything is measured, for a check that it does not know, for an empty frame, and for frames
        with other columns than the reference.
        """
        asked = [_check_of(self, each) for each in (checks if isinstance(checks, Iterable) and not isinstance(checks, str) else [checks])]
        before, now = _frame(reference), _frame(current)
        _refuse(self, before, now, asked)
        emptied = _emptied(before, now) if any(check.name == "drift" for check in asked) else {}
        found = self.examine(before, now, asked)
        findings = [_judged(finding, asked) for finding in found.findings]
        for check in asked:
            _overlooked(check, emptied, findings)
        findings += [_unmeasured(check, text) for check in asked for text in (*check.require, *check.expect) if not _measured(findings, check, text)]
        rows = {name: len(frame) for name, frame in (("reference", before), ("current", now)) if frame is not None}
        verdict = Verdict.worst([finding.verdict for finding in findings])
        by = f"{self.flavor or type(self).__name__} {self.version()}"
        html = found.html or validation_page(verdict, findings, by, rows)
        return Validation(verdict, findings, by, html, _plain(found.report), rows)


def _who(validator: DataValidator) -> str:
    return f"Data validator '{validator.name or type(validator).__name__}'"


def _check_of(validator: DataValidator, given: Any) -> Check:
    return Check(given) if isinstance(given, str) else given if isinstance(given, Check) else validator.as_check(given)


def _refuse(validator: DataValidator, reference: Any, current: Any, checks: Sequence[Check]) -> None:
    if not checks:
        raise DefinitionError(f"{_who(validator)} was given no checks. Name some: {', '.join([*validator.portable, *validator.own_checks()][:8])}.")
    for check in checks:
        if not validator.knows(check.name):
            raise DefinitionError(f"{_who(validator)} has no check '{check.name}'. {near(check.name, [*validator.portable, *validator.own_checks()])}")
    labels = [check.label for check in checks]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise DefinitionError(f"{_who(validator)} was given two checks called '{twice}'. Tell them apart: Check(…, label='…').")
    if current is None:
        raise DefinitionError(f"{_who(validator)} was given no current frame. Call validate(reference, current, checks); the reference alone may be None.")
    for name, frame in (("reference", reference), ("current", current)):
        if frame is not None:
            _refuse_frame(name, frame)
    _refuse_columns(reference, current)
    for check in checks:
        _refuse_check(check, reference, current)


def _frame(data: Any) -> Any:
    """A frame of pandas whose columns are named by text."""
    if data is None:
        return None
    frame = data if hasattr(data, "iloc") else data.to_pandas() if hasattr(data, "to_pandas") else None
    if frame is None or not hasattr(frame, "columns"):
        raise DefinitionError(f"A {type(data).__name__} is no frame. Give a pandas frame, or what has to_pandas().")
    return frame if all(isinstance(name, str) for name in frame.columns) else frame.set_axis([str(name) for name in frame.columns], axis=1)


def _refuse_frame(name: str, frame: Any) -> None:
    if not len(frame) or not len(frame.columns):
        rows, columns = len(frame) or "no", len(frame.columns) or "no"
        raise DefinitionError(f"The {name} frame is empty: it has {columns} columns and {rows} row{'s' * (rows != 'no')}. See why the step that made it gave none.")
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise DefinitionError(f"The {name} frame has more than one column called {_names(list(twice))}. Give each a name of its own: frame.columns = […].")


def _refuse_columns(reference: Any, current: Any) -> None:
    if reference is None or list(map(str, reference.columns)) == list(map(str, current.columns)):
        return
    lacking = [str(name) for name in reference.columns if name not in current.columns]
    more = [str(name) for name in current.columns if name not in reference.columns]
    said = [f"lacks {_names(lacking)}"] * bool(lacking) + [f"has {_names(more)} besides"] * bool(more)
    if said:
        raise DefinitionError(
            f"The current frame {' and '.join(said)}, other than the reference. Give both the same columns: current[reference.columns], "
            "or a reference that was made as the current frame is."
        )


def _refuse_check(check: Check, reference: Any, current: Any) -> None:
    if reference is None and check.name in _NEED_REFERENCE:
        raise DefinitionError(f"The check '{check.name}' compares with a reference, and none was given. Call validate(reference, current, …) with a frame.")
    if check.name in _NEED_PREDICTION and not (check.target and check.prediction):
        raise DefinitionError(f"The check '{check.name}' needs the columns to compare: Check('{check.name}', target=…, prediction=…).")
    named = [*check.columns, *(name for name in (check.target, check.prediction) if name)]
    for name in named:
        if name not in current.columns:
            raise DefinitionError(f"The check '{check.name}' names the column '{name}', which the frame does not have. {near(name, map(str, current.columns))}")
        if check.name == "regression" and name in (check.target, check.prediction) and current[name].dtype.kind not in "iuf":
            raise DefinitionError(f"The check 'regression' compares numbers, and the column '{name}' holds {current[name].dtype}. Did you mean 'classification'?")


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (", …" if len(names) > 5 else "")


def _judged(finding: Finding, checks: Iterable[Check]) -> Finding:
    """What the check requires of a metric decides, where it says something of it."""
    value = None if finding.value is None or math.isnan(finding.value) else float(finding.value)
    finding = replace(finding, value=value)
    said = [(Requirement.parse(text), verdict) for check in checks if check.label == finding.check for text, verdict in _requirements(check)]
    about = [(requirement, verdict) for requirement, verdict in said if _concerns(requirement, finding)]
    if not about:
        return finding
    broken = [(requirement, verdict) for requirement, verdict in about if not requirement.holds(value)]
    decided, verdict = broken[0] if broken else (about[0][0], Verdict.PASS)
    return replace(finding, verdict=verdict, requirement=decided.text)


def _requirements(check: Check) -> list[tuple[str, Verdict]]:
    return [*((text, Verdict.FAIL) for text in check.require), *((text, Verdict.WARN) for text in check.expect)]


def _concerns(requirement: Requirement, finding: Finding) -> bool:
    """`missing_share < 0.1` is asked of the whole and of each column, `missing_share.age < 0.1` of that column."""
    return requirement.metric in (finding.metric, f"{finding.metric}.{finding.column}")


def _measured(findings: Iterable[Finding], check: Check, text: str) -> bool:
    requirement = Requirement.parse(text)
    return any(finding.check == check.label and _concerns(requirement, finding) for finding in findings)


def _unmeasured(check: Check, text: str) -> Finding:
    """A requirement on what nobody measured is not kept."""
    verdict = Verdict.FAIL if text in check.require else Verdict.WARN
    return Finding(check.label, Requirement.parse(text).metric, None, verdict, requirement=text, detail="the check measures no such metric")


def _overlooked(check: Check, emptied: Mapping[str, str], findings: list[Finding]) -> None:
    """Add what a library passes over in silence: a column that holds nothing any more, and a check of which nothing came."""
    for column, where in emptied.items() if check.name == "drift" else ():
        known = [each for each in findings if (each.check, each.metric, each.column) == (check.label, "drift", column)]
        if (not check.columns or column in check.columns) and all(each.value is None and each.verdict is Verdict.PASS for each in known):
            findings[:] = [each for each in findings if each not in known]
            findings.append(Finding(check.label, "drift", None, Verdict.WARN, column, detail=f"it holds nothing in the {where} frame"))
    if not any(each.check == check.label for each in findings):
        findings.append(Finding(check.label, check.name, None, Verdict.WARN, detail="nothing of it could be measured"))


def _emptied(reference: Any, current: Any) -> dict[str, str]:
    """The columns that hold nothing in one frame, and something in the other, with the frame in which they hold nothing."""
    void = {column: (bool(reference[column].isna().all()), bool(current[column].isna().all())) for column in reference.columns}
    return {column: "reference" if before else "current" for column, (before, now) in void.items() if before != now}


def _plain(node: Any) -> Json:
    """What JSON can hold of a library's own report."""
    if hasattr(node, "tolist"):  # numbers and arrays of numpy
        node = node.tolist()
    if isinstance(node, float):
        return node if math.isfinite(node) else None
    if isinstance(node, Mapping):
        return {str(key): _plain(item) for key, item in node.items()}
    if isinstance(node, (list, tuple, set, frozenset)):
        return [_plain(item) for item in node]
    return node if node is None or isinstance(node, (bool, int, str)) else str(node)
