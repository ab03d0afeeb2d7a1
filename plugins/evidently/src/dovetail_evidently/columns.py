"""What the columns of a frame are to Evidently, and the rules that a reference sets for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dovetail.components import Check


class Task(NamedTuple):
    """`kind`: classification or regression. `positive`: None where there are more classes than two."""

    kind: str
    target: str
    prediction: str
    positive: Any = None


def classes_of(check: Check, frame: Any) -> list[Any]:
    """Those that were or were foretold, as Python's own values."""
    found = {value for name in (check.target, check.prediction) for value in frame[name].dropna().unique().tolist()}
    return sorted(found, key=lambda value: (str(type(value)), value))


def kind_of(column: Any) -> str:
    """number, time, logical or text."""
    from pandas.api import types

    if types.is_bool_dtype(column.dtype):
        return "logical"
    if types.is_numeric_dtype(column.dtype):
        return "number"
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return "time"
    return "text"


def is_void(column: Any) -> bool:
    """Whether it holds nothing that can be compared: neither what is missing nor an infinite number can."""
    return not len(column[~column.isin([float("inf"), float("-inf")])].dropna())


class Tasks:
    """The pairs of target and prediction that checks name, each under the name by which Evidently's metrics refer to it."""

    def __init__(self) -> None:
        self._names: dict[Task, str] = {}

    def name(self, kind: str, check: Check, positive: Any = None) -> str:
        """`default` for the first of a kind: presets refer to no other."""
        task = Task(kind, check.target or "", check.prediction or "", positive)
        first = not any(known.kind == kind for known in self._names)
        return self._names.setdefault(task, "default" if first else "-".join(str(part) for part in task[1:] if part is not None))

    def definition(self, reference: Any, current: Any, texts: Sequence[str]) -> Any:
        """Evidently's description of the frames. `texts`: columns of free text, which are not compared value by value."""
        from evidently import BinaryClassification, DataDefinition, MulticlassClassification, Regression

        kinds = {str(name): kind_of(current[name]) for name in current.columns}
        if reference is not None:  # what changed its type is compared as text
            kinds = {name: kind if kind == kind_of(reference[name]) else "text" for name, kind in kinds.items()}
        classes = [
            MulticlassClassification(name=name, target=task.target, prediction_labels=task.prediction)
            if task.positive is None
            else BinaryClassification(name=name, target=task.target, prediction_labels=task.prediction, pos_label=task.positive)
            for task, name in self._names.items()
            if task.kind == "classification"
        ]
        numbers = [Regression(name=name, target=task.target, prediction=task.prediction) for task, name in self._names.items() if task.kind == "regression"]
        return DataDefinition(
            numerical_columns=[name for name, kind in kinds.items() if kind == "number"],
            categorical_columns=[name for name, kind in kinds.items() if kind in ("logical", "text") and name not in texts],
            text_columns=[name for name in kinds if name in texts],
            datetime_columns=[name for name, kind in kinds.items() if kind == "time"],
            classification=classes or None,
            regression=numbers or None,
        )


def rule_of(column: Any) -> tuple[str, dict[str, Any]] | None:
    """The metric of Evidently's that counts what breaks the rule of a reference's column; None where it sets none beyond its type."""
    present = column.dropna()
    kind = kind_of(column)
    if kind == "time" or not len(present):
        return None
    if kind == "number":
        return "OutRangeValueCount", {"left": present.min().item(), "right": present.max().item()}
    return "OutListValueCount", {"values": present.unique().tolist()}
