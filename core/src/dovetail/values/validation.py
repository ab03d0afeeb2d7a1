"""What is asked of data, and what came of it: the one shape of verdict that all data validators give."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import DefinitionError
from dovetail.values.encoding import Json
from dovetail.values.requirement import Requirement


class Verdict(str, enum.Enum):
    PASS = "pass"  # noqa: S105  # no password
    WARN = "warn"
    FAIL = "fail"

    @staticmethod
    def worst(verdicts: Sequence[Verdict]) -> Verdict:
        """`pass` of none."""
        return max(verdicts, key=list(Verdict).index, default=Verdict.PASS)


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    `name`: drift, quality, schema, classification or regression, which mean the same for every validator that knows them, or a name of
    the validator's own. `columns`: those to look at; all when empty. `target`, `prediction`: columns with what was so and what was
    foretold. `require`, `expect`: requirements such as `"drifted_share < 0.3"`; a broken one makes the verdict `fail`, or `warn`. A
    metric of which nothing is said is judged as the validator judges it. `options`: the validator's own. `label`: tells two checks of
    one name apart; the name when not said.

    A requirement names a metric, which is then asked of the whole and of each column, or a metric and a column: `"drift.age < 0.1"`.

    Metrics of the portable names, the same for every validator. **drift**: `drift` of each column, as the validator scores it, and
    `drifted_share` of the columns looked at; a column that has drifted is `warn`, and the share `fail` from half of
    them on, where nothing else is required. **quality**: `missing_share` of all cells and of each column, `duplicated_share` of rows that
    repeat an earlier one. **schema**: `violations` in all, and of each column that breaks a rule taken from the reference (its type; the range of a
    number; the values of a text); more than none is `fail`. **classification**: `accuracy`, and the mean over all classes of
    `precision`, `recall` and `f1`, 0 for a class where it is not defined. **regression**: `mae`, `rmse`, `r2`. Of quality,
    classification and regression nothing is judged that is not required.
    """

    name: str
    columns: Sequence[str] = ()
    target: str | None = None
    prediction: str | None = None
    require: Sequence[str] = ()
    expect: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.name)
        for name in ("columns", "require", "expect"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for text in (*self.require, *self.expect):
            if Requirement.parse(text).other is not None:
                raise DefinitionError(f"Check('{self.name}') requires {text!r}, which names a model's version. Compare with a number: 'accuracy >= 0.8'.")


@dataclass(frozen=True)
class Finding:
    """One metric that a check measured. `check`: the check's label. `value`: None where it could not be measured; `requirement`: what decided, in words."""

    check: str
    metric: str
    value: float | None
    verdict: Verdict = Verdict.PASS
    column: str | None = None
    requirement: str = ""
    detail: str = ""

    def __str__(self) -> str:
        of = f" of {self.column}" if self.column is not None else ""
        value = "not measured" if self.value is None or math.isnan(self.value) else f"{self.value:.4g}"
        wanted = f", wanted {self.requirement}" if self.requirement and self.verdict is not Verdict.PASS else ""
        return f"{self.check}: {self.metric}{of} is {value}{wanted}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True)
class Validation:
    """What came of checks: the worst verdict of all findings, and the validator's own report as a page and as JSON.

    `validator`: its name and version. `rows`: how many rows the frames had, by `reference` and `current`.
    """

    verdict: Verdict
    findings: Sequence[Finding]
    validator: str
    html: str = field(repr=False)
    report: Json = field(repr=False)
    rows: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(self.findings))

    @property
    def metrics(self) -> dict[str, float]:
        """Value by `check.metric` or `check.metric.column`, of what could be measured."""
        named = ((".".join(part for part in (each.check, each.metric, each.column) if part), each.value) for each in self.findings)
        return {name: value for name, value in named if value is not None and math.isfinite(value)}

    @property
    def broken(self) -> list[Finding]:
        """The findings that did not pass, the worst first."""
        order = list(Verdict)
        return sorted((each for each in self.findings if each.verdict is not Verdict.PASS), key=lambda each: -order.index(each.verdict))
