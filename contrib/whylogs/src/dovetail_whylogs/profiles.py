"""The one file that talks to whylogs: profiles of frames, their drift, and constraints on them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.errors import DefinitionError, near
from dovetail.values.imports import load_of_project

MOST_VALUES = 50  # a text with more than these in the reference may say anything
_SILENT = "WHYLOGS_NO_ANALYTICS"


def whylogs() -> Any:
    """The library, which would otherwise tell its makers of its import."""
    os.environ.setdefault(_SILENT, "True")
    import whylogs as library

    return library


def profile(frame: Any, columns: Sequence[Any]) -> Any:
    """What whylogs keeps of the columns. Nothing is sent or written."""
    whylogs()
    from whylogs.core import DatasetProfile

    kept = DatasetProfile()
    kept.track(_plain(frame[list(columns)].set_axis([str(name) for name in columns], axis="columns")))
    return kept.view()


def _plain(frame: Any) -> Any:
    """whylogs stumbles over missing cells of categories and of pandas' own booleans."""
    odd = [name for name in frame.columns if str(frame[name].dtype) in ("category", "boolean")]
    return frame.astype(dict.fromkeys(odd, object))


def drift(reference: Any, current: Any) -> dict[str, dict[str, Any] | None]:
    """By column, whylogs's algorithm, statistic, p-value and category; None where it has no algorithm."""
    whylogs()
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    return dict(calculate_drift_scores(target_view=current, reference_view=reference, with_thresholds=True))


def summary(view: Any, column: str) -> dict[str, Any]:
    """What the profile knows of a column, by whylogs's names: `counts/null`, `distribution/mean`, …"""
    found: dict[str, Any] = view.get_column(column).to_summary_dict()
    return found


@dataclass(frozen=True)
class Kept:
    """Whether a profile keeps to one constraint. `problem`: why that cannot be told."""

    name: str
    column: str | None
    passed: bool
    problem: str = ""


def hold(view: Any, constraint: Any) -> Kept:
    whylogs()
    from whylogs.core.constraints import ConstraintsBuilder

    column = getattr(getattr(constraint, "metric_selector", None), "column_name", None)
    try:
        built = ConstraintsBuilder(dataset_profile_view=view).add_constraint(constraint).build()
        results = built.generate_constraints_report()
    except Exception as error:
        return Kept(str(constraint.name), column, passed=False, problem=f"{type(error).__name__}: {error}")
    problem = "" if results else "the profile keeps nothing of the column that the constraint looks at"
    return Kept(str(constraint.name), column, bool(results) and not any(each[2] for each in results), problem)


def implied_by(view: Any, columns: Sequence[str], most_values: int = MOST_VALUES) -> list[Any]:
    """The constraints that a reference's profile implies: the type of each column, the range of a number, the values of a text."""
    return [each for name in columns for each in _of_column(name, view.get_column(name), most_values)]


def _of_column(name: str, column: Any, most_values: int) -> Iterator[Any]:
    from whylogs.core.constraints import factories

    known = column.to_summary_dict()
    types = [key.partition("/")[2] for key, count in known.items() if key.startswith("types/") and count]
    if len(types) != 1:
        return  # empty, or of mixed types
    yield factories.column_is_nullable_datatype(name, types[0])
    if types[0] in ("integral", "fractional"):
        yield factories.is_in_range(name, known["distribution/min"], known["distribution/max"])
    values = {item.value for item in known.get("frequent_items/frequent_strings") or ()}
    if types[0] == "string" and known["cardinality/est"] < most_values + 1 and len(values) <= most_values:
        yield factories.frequent_strings_in_reference_set(name, values)


def factory_names() -> dict[str, str]:
    """whylogs's constraints of one column by the name of what makes them, with the first line that each says of itself."""
    whylogs()
    from whylogs.core.constraints import factories

    made = [each for each in factories.ALL if not each.__name__.startswith("condition_")]  # which want a profile of one's own
    return {each.__name__: _first_line(each) for each in made}


def _first_line(factory: Any) -> str:
    said = (inspect.getdoc(factory) or "").strip().partition("\n")[0]
    return said or factory.__name__.replace("_", " ")


def constraints_of(name: str, columns: Sequence[str], options: Mapping[str, Any]) -> list[Any]:
    """By a factory's name, one for each column, or by an import string into the project."""
    whylogs()
    from whylogs.core.constraints import factories

    if ":" in name:
        return _of_project(name)
    factory = getattr(factories, name)
    known = list(inspect.signature(factory).parameters)[1:]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise DefinitionError(f"whylogs's constraint '{name}' takes no '{unknown[0]}'. {near(unknown[0], known)}")
    try:
        return [factory(column, **options) for column in columns]
    except TypeError as error:
        raise DefinitionError(f"whylogs's constraint '{name}' cannot be made: {error}. Give its arguments in options=.") from error


def _of_project(name: str) -> list[Any]:
    found = load_of_project(name)
    several = list(found) if isinstance(found, (list, tuple)) else [found]
    if not several or not all(is_constraint(each) for each in several):
        raise DefinitionError(f"{name!r} is no constraint. Name a MetricConstraint or DatasetConstraint of whylogs, or a list of them.")
    return several


def is_constraint(given: Any) -> bool:
    whylogs()
    from whylogs.core.constraints.metric_constraints import DatasetConstraint, MetricConstraint

    return isinstance(given, (MetricConstraint, DatasetConstraint))
