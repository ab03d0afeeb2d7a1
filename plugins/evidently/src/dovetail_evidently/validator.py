"""Evidently as a data validator."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from importlib.metadata import version
from typing import Any

from dovetail.components import Check, DataValidator, Examined
from dovetail.errors import DefinitionError, near
from dovetail.values.imports import load_object
from dovetail_evidently.asked import Asked, Drift, EvenErrors, Own, Quality, Schema, Scores, untested
from dovetail_evidently.columns import Tasks, classes_of
from dovetail_evidently.errors import making, measuring
from dovetail_evidently.page import inert

_TASKS = {"classification_name": "classification", "regression_name": "regression"}


class EvidentlyValidator(DataValidator):
    """A report of Evidently's on all checks at once, shown as Evidently draws it."""

    portable = ("drift", "quality", "schema", "classification", "regression")

    drift_method: str | None = field(default=None, metadata={"help": "How drift of every column is measured, such as psi or jensenshannon; Evidently's choice by type and size of the column if not said"})
    number_method: str | None = field(default=None, metadata={"help": "How drift of numbers is measured, such as ks or wasserstein, where that is to differ"})
    category_method: str | None = field(default=None, metadata={"help": "How drift of categories is measured, such as chisquare or TVD, where that is to differ"})
    drift_threshold: float | None = field(default=None, metadata={"help": "From which score on a column has drifted; the method's own if not said"})
    drift_share: float = field(default=0.5, metadata={"help": "From which share of drifted columns on `drifted_share` fails, where nothing is required of it"})
    text_columns: list[str] = field(default_factory=list, metadata={"help": "Columns of free text, whose drift is told by a classifier; other texts are categories"})

    def version(self) -> str:
        return version("evidently")

    def own_checks(self) -> Mapping[str, str]:
        return {name: (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".") for name, cls in _library().items()}

    def knows(self, name: str) -> bool:
        return name in self.portable or ":" in name or name in _library()

    def as_check(self, given: Any) -> Check:
        from evidently.core.container import MetricContainer
        from evidently.core.metric_types import Metric

        if not isinstance(given, (Metric, MetricContainer)):
            return super().as_check(given)
        cls, column = type(given), getattr(given, "column", None)
        name = cls.__name__ if cls.__name__ in _library() else f"{cls.__module__}:{cls.__qualname__}"
        return Check(name, options={"metric": given}, label=f"{cls.__name__}.{column}" if column else cls.__name__)

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        import numpy as np
        from evidently import Dataset, Report

        tasks = Tasks()
        labels = ", ".join(f"'{check.label}'" for check in checks)
        with measuring(labels), np.errstate(all="ignore"):  # it divides by the cells that a column has
            asked = [self._asked(check, tasks, reference, current) for check in checks]
            definition = tasks.definition(reference, current, self.text_columns)
            frames = [Dataset.from_pandas(frame, definition) if frame is not None else None for frame in (current, reference)]
            snapshot = Report([item for each in asked for item in each.items], include_tests=True).run(*frames)
            findings = [finding for each in asked for finding in each.findings(snapshot)]
            return Examined(findings, inert(snapshot.get_html_str(as_iframe=False)), json.loads(snapshot.json()))

    def _drift(self) -> dict[str, Any]:
        methods = {"method": self.drift_method, "num_method": self.number_method, "cat_method": self.category_method}
        return {**methods, "threshold": self.drift_threshold, "drift_share": self.drift_share}

    def _asked(self, check: Check, tasks: Tasks, reference: Any, current: Any) -> Asked:
        columns = [str(name) for name in check.columns or current.columns]
        if check.name == "drift":
            return Drift(check, columns, reference, current, self._drift())
        if check.name == "quality":
            return Quality(check, columns, current)
        if check.name == "schema":
            return Schema(check, columns, reference, current)
        if check.name == "regression" and EvenErrors.found_in(check, current):
            return EvenErrors(check, current)
        return Scores(check, tasks, current) if check.name in ("classification", "regression") else Own(check, _own(check, tasks, current))


def _library() -> Mapping[str, Any]:
    """Evidently's metrics and presets by name."""
    import evidently.metrics
    import evidently.presets

    return {name: found for module in (evidently.metrics, evidently.presets) for name in module.__all__ if isinstance(found := getattr(module, name), type)}


def _own(check: Check, tasks: Tasks, current: Any) -> list[Any]:
    """The items of a check that is not portable: one, or one for each column that it names."""
    if "metric" in check.options:
        return [check.options["metric"]]
    cls = _class_of(check)
    fields = set(getattr(cls, "__fields__", ()))
    options: dict[str, Any] = untested(cls)
    for name, kind in _TASKS.items():
        if check.target and name in fields:
            options[name] = tasks.name(kind, check, _positive(check, current) if kind == "classification" else None)
    options |= {name: value for name, value in check.options.items() if name != "positive"}
    _refuse_options(check, cls, options)
    with making(f"the check '{check.label}'", f"Its options are the arguments of {cls.__name__}: {', '.join(sorted(fields - {'type'}))}."):
        if check.columns and "column" in fields:
            return [cls(column=name, **options) for name in check.columns]
        return [cls(**{**({"columns": list(check.columns)} if check.columns else {}), **options})]


def _positive(check: Check, current: Any) -> Any:
    """Of two classes the one that counts: as said, else the last in order, which is 1 and True."""
    classes = classes_of(check, current)
    return check.options.get("positive", classes[-1]) if len(classes) == 2 else None


def _refuse_options(check: Check, cls: Any, options: Mapping[str, Any]) -> None:
    """Evidently itself passes over what it does not know."""
    known = {*cls.__fields__, *inspect.signature(cls).parameters} - {"type", "data"}
    for name in options:
        if name not in known:
            raise DefinitionError(f"The check '{check.label}' has no option '{name}': it is no argument of {cls.__name__}. {near(name, known)}")


def _class_of(check: Check) -> Any:
    if ":" not in check.name:
        return _library()[check.name]
    from evidently.core.container import MetricContainer
    from evidently.core.metric_types import Metric

    with making(f"the check '{check.name}'", "Write package.module:Class, of a module that the project or an installed package has."):
        cls = load_object(check.name)
    if not (isinstance(cls, type) and issubclass(cls, (Metric, MetricContainer))):
        raise DefinitionError(f"{check.name} is no metric of Evidently's. Subclass one, such as evidently.core.metric_types.SingleValueMetric.")
    return cls
