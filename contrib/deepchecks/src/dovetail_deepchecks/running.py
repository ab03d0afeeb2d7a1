"""The one file that talks to Deepchecks: frames become its datasets, names its checks and suites, and these are run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.components import Check
from dovetail.errors import DefinitionError, near

_SUITES = {
    "data_integrity": "suite: what is odd in the data themselves",
    "train_test_validation": "suite: how the current frame differs from the reference",
    "model_evaluation": "suite: how good the predictions are",
}
_OF_MODELS = ("BoostingOverfit", "CalibrationScore", "ModelInferenceTime", "ModelInfo", "MultiModelPerformanceReport", "RocReport", "UnusedFeatures")
_MOST_CLASSES = 30
_SILENT = "DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY"


@dataclass(frozen=True)
class Ran:
    """What came of one of Deepchecks' checks: its result, or why there is none."""

    name: str
    result: Any = None
    problem: str = ""


def tabular() -> Any:
    """The library, which would otherwise tell its makers of its import, and write a file beside its modules to know you by."""
    os.environ.setdefault(_SILENT, "True")
    import deepchecks.tabular
    import deepchecks.tabular.checks
    import deepchecks.tabular.suites

    return deepchecks.tabular


def check_names() -> dict[str, str]:
    """The checks that take one frame or two, and the suites, by name."""
    checks = tabular().checks
    kept = {name: getattr(checks, name) for name in dir(checks) if name[0].isupper() and name not in _OF_MODELS}
    kept = {name: each for name, each in kept.items() if isinstance(each, type) and each.__name__ == name and not _deprecated(each)}
    return {**{name: (each.__doc__ or "").strip().partition("\n")[0] for name, each in kept.items()}, **_SUITES}


def _deprecated(check: Any) -> bool:
    return "deprecated" in (check.__doc__ or "").lower()


def made(name: str, options: Mapping[str, Any]) -> list[Any]:
    """The check of that name, with the conditions in options["conditions"]; of a suite, its checks with the suite's conditions."""
    deep = tabular()
    arguments = {key: value for key, value in options.items() if key not in ("conditions", "dataset")}
    maker = getattr(deep.suites if name in _SUITES else deep.checks, name)
    known = [*inspect.signature(maker).parameters, "n_samples", "random_state"]
    unknown = next((each for each in arguments if each not in known), None)
    if unknown is not None:  # Deepchecks would take it and do nothing with it
        raise DefinitionError(f"Deepchecks' '{name}' takes no '{unknown}'. {near(unknown, known)}")
    try:
        found = maker(**arguments)
    except TypeError as error:
        raise DefinitionError(f"Deepchecks' '{name}' cannot be made of {arguments}: {error}. Give its arguments in options=.") from error
    if name in _SUITES:
        return list(found.checks.values())
    for condition, said in dict(options.get("conditions", {})).items():
        _add(found, name, condition, said)
    return [found]


def _add(check: Any, name: str, condition: str, arguments: Mapping[str, Any]) -> None:
    start = "add_condition_"
    known = [each.removeprefix(start) for each in dir(check) if each.startswith(start)]
    if condition not in known:
        raise DefinitionError(f"Deepchecks' '{name}' knows no condition '{condition}'. {near(condition, known)}")
    try:
        getattr(check, f"{start}{condition}")(**arguments)
    except TypeError as error:
        raise DefinitionError(f"The condition '{condition}' of Deepchecks' '{name}' does not take {dict(arguments)}: {error}.") from error


def run(check: Any, asked: Check, frames: Mapping[str, Any], columns: Sequence[Any]) -> Ran:
    """`frames`: `current`, and `reference` where there is one: the check looks at both where it compares, else at the current one."""
    deep = tabular()
    compares = isinstance(check, deep.TrainTestCheck)
    if compares and "reference" not in frames:
        return Ran(check.name(), problem="it compares with a reference, and none was given")
    try:
        numbered = _numbered(frames)
        sets = {name: dataset(frame, asked, columns) for name, frame in numbered.items()}
        said = _foretold(numbered, asked, compares=compares)
        if compares:
            return Ran(check.name(), check.run(sets["reference"], sets["current"], **said))
        return Ran(check.name(), check.run(sets["current"], **said))
    except DefinitionError:
        raise
    except Exception as error:  # Deepchecks raises what it meets, its own classes and others'
        return Ran(check.name(), problem=f"{type(error).__name__}: {error}")


def _numbered(frames: Mapping[str, Any]) -> dict[str, Any]:
    """The frames with rows that have one number each across both, by which predictions are found again."""
    start, made_of = 0, {}
    for name, frame in frames.items():
        made_of[name] = frame.set_axis(range(start, start + len(frame)), axis="index")
        start += len(frame)
    return made_of


def harmless(text: Any) -> Any:
    """A text that is no markup. Deepchecks writes names and cells into its page as they are."""
    return text.replace("<", "\u2039").replace(">", "\u203a") if isinstance(text, str) else text


def harmless_frame(frame: Any) -> Any:
    """The frame with texts, and names that are texts, of which none is markup, and without pandas' own missing value: a new frame."""
    named = frame.set_axis([harmless(str(name)) for name in frame.columns], axis="columns")
    named = named.assign(**{name: _without_na(named[name]) for name in named.columns if hasattr(named[name].dtype, "na_value")})
    texts = [name for name in named.columns if kind(named[name]) != "number" and _has_markup(named[name])]
    return named.assign(**{name: _mapped(named[name]) for name in texts})


def _without_na(values: Any) -> Any:
    """Deepchecks asks whether a cell is equal to another, which that value does not answer."""
    import pandas as pd

    if values.dtype.na_value is not pd.NA:
        return values
    if kind(values) == "number":
        return values.astype("float64")
    return values.astype(object).where(values.notna(), None)


def _has_markup(values: Any) -> bool:
    cells = values.cat.categories if str(values.dtype) == "category" else values
    return any(isinstance(cell, str) and ("<" in cell or ">" in cell) for cell in cells)


def _mapped(values: Any) -> Any:
    return values.cat.rename_categories(harmless) if str(values.dtype) == "category" else values.map(harmless)


def _foretold(frames: Mapping[str, Any], asked: Check, *, compares: bool) -> dict[str, Any]:
    """Predictions as Deepchecks takes them; numbers as a model, since it cannot score given ones with this scikit-learn."""
    if asked.prediction is None:
        return {}
    series = {name: frame[asked.prediction] for name, frame in frames.items()}
    if label_type(frames["current"], asked) == "regression":
        return {"model": _model_of(list(series.values()))}
    targets = [frame[asked.target] for frame in frames.values()] if asked.target else []
    classes = sorted({value for each in (*series.values(), *targets) for value in each.dropna().unique().tolist()})
    if not compares:
        return {"y_pred": series["current"].to_numpy(), "model_classes": classes}
    return {"y_pred_train": series["reference"].to_numpy(), "y_pred_test": series["current"].to_numpy(), "model_classes": classes}


def _model_of(series: Sequence[Any]) -> Any:
    import pandas as pd
    from sklearn.base import BaseEstimator, RegressorMixin

    known = pd.concat(list(series))

    class Foretold(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # of untyped classes
        """Gives what was foretold of a row."""

        def predict(self, data: Any) -> Any:
            return known.loc[data.index].to_numpy()

    return Foretold()


def label_type(frame: Any, check: Check) -> str | None:
    """As options say, else regression for fractions and for more numbers than classes would be."""
    given = dict(check.options.get("dataset", {})).get("label_type")
    if given or check.target is None:
        return given
    target = frame[check.target]
    numbers = kind(target) == "number" and (target.dtype.kind == "f" or target.nunique() > _MOST_CLASSES)
    return "regression" if numbers else "multiclass"


def dataset(frame: Any, check: Check, columns: Sequence[Any]) -> Any:
    """`columns`: those that are looked at. The target, where the check names one, is the label, and the prediction no feature."""
    features = [str(name) for name in columns if name not in (check.target, check.prediction)]
    given = {
        "label": check.target,
        "label_type": label_type(frame, check),
        "features": features,
        "cat_features": [name for name in features if kind(frame[name]) == "category"],
        **dict(check.options.get("dataset", {})),
    }
    try:
        return tabular().Dataset(frame, **given)
    except TypeError as error:
        raise DefinitionError(f"Deepchecks' Dataset does not take {given}: {error}. Mend options={{'dataset': …}}.") from error


def kind(values: Any) -> str:
    """`number`, `category`, or `other` for what Deepchecks compares as neither."""
    from pandas.api import types

    if types.is_bool_dtype(values.dtype) or str(values.dtype) == "category":
        return "category"
    if types.is_numeric_dtype(values.dtype) and not types.is_complex_dtype(values.dtype):
        return "number"
    return "category" if types.infer_dtype(values, skipna=True) in ("string", "boolean") else "other"


def numbers_of(value: Any, columns: Sequence[str]) -> Iterator[tuple[str, str | None, float]]:
    """The numbers in a check's result as (metric, column, number): a number alone is the metric `value`."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = {column: value[column].to_dict() for column in value.columns}
    if isinstance(value, Mapping):
        for key, item in value.items():
            for metric, column, number in numbers_of(item, columns):
                own = str(key)
                yield (metric, own, number) if own in columns and column is None else (_joined(own, metric), column, number)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield "value", None, float(value)
    elif hasattr(value, "item") and getattr(value, "ndim", 1) == 0 and isinstance(value.item(), (int, float)):
        yield "value", None, float(value.item())


def _joined(key: str, metric: str) -> str:
    named = "_".join(key.lower().split())
    return named if metric == "value" else f"{named}.{metric}"
