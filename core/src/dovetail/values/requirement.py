"""What a number must keep to: `auc >= 0.8`, `auc >= production.auc - 0.01`. Gates of models and checks of data are written so."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dovetail.errors import DefinitionError

_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NAME = r"[^\s<>=!*]+"
_WRITTEN = re.compile(
    rf"\s*(?P<metric>{_NAME})\s*(?P<relation>>=|<=|==|!=|>|<)\s*"
    rf"(?:(?P<number>{_NUMBER})|(?P<other>none|staging|production|archived|\d+)\.(?P<of>{_NAME})(?:\s*(?P<change>[-+*])\s*(?P<by>{_NUMBER}))?)\s*"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A metric in relation to a number, or to a metric of another model version, changed by a number where one is given.

    `other`: a stage, or the number of a version; None where `number` is what is compared with.
    """

    text: str
    metric: str
    relation: str
    number: float = 0.0
    other: str | None = None
    of: str = ""
    change: str = "+"

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Raises DefinitionError for what is no requirement."""
        found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise DefinitionError(
                f"{text!r} is no requirement. Write a metric, a relation (>=, <=, >, <, ==, !=) and a number or another version's metric: "
                "'auc >= 0.8', 'auc >= production.auc', 'auc > production.auc + 0.01', 'brier <= production.brier * 0.95'."
            )
        number = float(found["number"] or found["by"] or 0.0)
        if math.isinf(number):
            raise DefinitionError(f"{text!r} is no requirement, since its number is too large for any to be compared with.")
        said = " ".join(text.split())
        return cls(said, found["metric"], found["relation"], number, found["other"], found["of"] or "", found["change"] or "+")

    def __str__(self) -> str:
        return self.text

    def bound(self, other: float | None = None) -> float:
        """The number that the metric is compared with; `other`: the value of the other version's metric, where one is named."""
        if self.other is None or other is None:
            return self.number
        return other * self.number if self.change == "*" else other - self.number if self.change == "-" else other + self.number

    def holds(self, value: float | None, other: float | None = None) -> bool:
        """What is not there or is no finite number keeps to nothing."""
        bound = self.bound(other)
        return value is not None and math.isfinite(value) and not math.isnan(bound) and _RELATIONS[self.relation](value, bound)
