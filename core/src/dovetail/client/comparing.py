"""What differs between two runs, and between two artifacts. Only differences are told; equal things are not in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.client.models import ModelVersion
from dovetail.client.views import Artifact, Run, StepRun
from dovetail.errors import DovetailError, StoreError
from dovetail.values.plan import Code, Status

Pair = tuple[Any, Any]  # of the first and of the second; None where there is none
_ENDED = frozenset({Status.COMPLETED, Status.CACHED, Status.FAILED})
_MOST = 200  # differences inside two values that are told
_PLAIN = (
    "builtins:dict",
    "builtins:list",
    "builtins:tuple",
    "builtins:str",
    "builtins:int",
    "builtins:float",
    "builtins:bool",
    "builtins:NoneType",
)
_FRAME = "DataFrame"


@dataclass(frozen=True)
class StepComparison:
    """`status` and `seconds` hold both, alike or not. `code`: `changed`, `new` or `gone` for each part that differs."""

    status: Pair
    seconds: Pair
    metrics: Mapping[str, Pair] = field(default_factory=dict)
    parameters: Mapping[str, Pair] = field(default_factory=dict)
    outputs: Mapping[str, Pair] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, Pair] = field(default_factory=dict)

    @property
    def differs(self) -> bool:
        """In what it gave or was made of; a cached step is no other than the one that ran."""
        ended = {"completed" if status == "cached" else status for status in self.status}
        return len(ended) > 1 or any((self.metrics, self.parameters, self.outputs, self.code, self.packages))


@dataclass(frozen=True)
class RunComparison:
    facts: Mapping[str, Pair]
    parameters: Mapping[str, Pair]
    steps: Mapping[str, StepComparison]


@dataclass(frozen=True)
class ArtifactComparison:
    """`value`: what differs inside JSON values, by path, or in what is said of a frame's columns. `note`: why values were not compared."""

    same: bool
    facts: Mapping[str, Pair]
    metadata: Mapping[str, Pair]
    value: Mapping[str, Pair] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class ModelComparison:
    """`metrics` holds all that either version has; `parameters`, of their runs and steps, and `artifacts`, by digest, only what differs."""

    facts: Mapping[str, Pair]
    metrics: Mapping[str, Pair]
    parameters: Mapping[str, Pair]
    artifacts: Mapping[str, Pair]


def compare_models(first: ModelVersion, second: ModelVersion) -> ModelComparison:
    facts = {name: (getattr(first, name), getattr(second, name)) for name in ("version", "stage")}
    facts["run"] = (first.run.name, second.run.name)
    one, two = dict(first.metrics), dict(second.metrics)
    metrics = {name: (one.get(name), two.get(name)) for name in dict.fromkeys((*one, *two))}
    digests = [{name: artifact.digest for name, artifact in version.artifacts.items()} for version in (first, second)]
    return ModelComparison(facts, metrics, _different(_all_parameters(first.run), _all_parameters(second.run)), _different(*digests))


def _all_parameters(run: Run) -> dict[str, Any]:
    """The run's, and what its steps logged where that is no repetition."""
    logged = {f"{step.name}.{name}": value for step in run.steps.values() for name, value in step.params.items()}
    return {**logged, **run.parameters}


def compare_runs(first: Run, second: Run) -> RunComparison:
    facts = {
        name: (getattr(first, name), getattr(second, name))
        for name in ("pipeline", "stack", "models")
        if getattr(first, name) != getattr(second, name)
    }
    facts["status"] = (first.status.value, second.status.value)
    facts["seconds"] = (first.seconds, second.seconds)
    steps = {name: _steps(first, second, name) for name in dict.fromkeys((*first.steps, *second.steps))}
    return RunComparison(facts, _different(first.parameters, second.parameters), steps)


def _steps(first: Run, second: Run, name: str) -> StepComparison:
    one, two = first.steps.get(name), second.steps.get(name)
    status = (one.status.value if one is not None else None, two.status.value if two is not None else None)
    seconds = (one.seconds if one is not None else None, two.seconds if two is not None else None)
    if one is None or two is None or not {one.status, two.status} <= _ENDED:
        return StepComparison(status, seconds)  # one of them did not run, so that all else would differ
    before, after = _code(one), _code(two)
    return StepComparison(
        status,
        seconds,
        metrics=_different(one.metrics, two.metrics),
        parameters=_different(one.parameters, two.parameters),
        outputs=_different(_digests(one.outcome or {}), _digests(two.outcome or {})),
        code=_parts(before.parts, after.parts),
        packages=_different(before.packages, after.packages),
    )


def _digests(outcome: Mapping[str, Any]) -> dict[str, str]:
    return {name: output["digest"] for name, output in outcome.get("outputs", {}).items()}


def _code(step_run: StepRun) -> Code:
    try:
        planned = step_run.planned
        return step_run.run.plan.codes.get(planned.code or "", Code({}, {})) if planned is not None else Code({}, {})
    except StoreError:
        return Code({}, {})


def _parts(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    words = {(True, True): "changed", (False, True): "new", (True, False): "gone"}
    return {
        name: words[name in first, name in second] for name in sorted({*first, *second}) if first.get(name) != second.get(name)
    }


def _different(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    return {
        name: (first.get(name), second.get(name))
        for name in dict.fromkeys((*first, *second))
        if name not in first or name not in second or not _equal(first[name], second[name])
    }


def _equal(first: Any, second: Any) -> bool:
    """A NaN is equal to a NaN here, and True is not 1."""
    return type(first) is type(second) and (first == second or (first != first and second != second))


def compare_artifacts(first: Artifact, second: Artifact) -> ArtifactComparison:
    """Values are compared where both are JSON values, or both are pandas frames and pandas is there."""
    facts = {
        name: (getattr(first, name), getattr(second, name))
        for name in ("type", "kind", "size", "digest")
        if getattr(first, name) != getattr(second, name)
    }
    metadata = _different(first.metadata, second.metadata)
    if first.digest == second.digest:
        return ArtifactComparison(True, facts, metadata)
    try:
        return ArtifactComparison(False, facts, metadata, _values(first, second))
    except (DovetailError, ImportError) as error:
        return ArtifactComparison(False, facts, metadata, note=f"The values were not compared: {error}")


def _values(first: Artifact, second: Artifact) -> dict[str, Pair]:
    if all(artifact.type in _PLAIN for artifact in (first, second)):
        return dict(_limited(_inside(first.load(), second.load(), "")))
    if all(artifact.type.startswith("pandas") and artifact.type.endswith(f":{_FRAME}") for artifact in (first, second)):
        return _different(_summary(first.load()), _summary(second.load()))
    raise StoreError(f"that is done for JSON values and for frames, and these are {first.type} and {second.type}.")


def _limited(differences: Iterator[tuple[str, Pair]]) -> Iterator[tuple[str, Pair]]:
    for number, difference in enumerate(differences):
        if number == _MOST:
            yield "…", ("more", "more")
            return
        yield difference


def _inside(first: Any, second: Any, path: str) -> Iterator[tuple[str, Pair]]:
    """Each place at which two values differ; None stands for what is not there."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys((*first, *second)):
            yield from _at(first, second, key, f"{path}.{key}" if path else str(key), key in first, key in second)
    elif isinstance(first, (list, tuple)) and type(first) is type(second):
        for number in range(max(len(first), len(second))):
            yield from _at(first, second, number, f"{path}[{number}]", number < len(first), number < len(second))
    elif not _equal(first, second):
        yield path or "value", (first, second)


def _at(first: Any, second: Any, key: Any, path: str, in_first: bool, in_second: bool) -> Iterator[tuple[str, Pair]]:
    if in_first and in_second:
        yield from _inside(first[key], second[key], path)
    else:
        yield path, (first[key] if in_first else None, second[key] if in_second else None)


def _summary(frame: Any) -> dict[str, Any]:
    """What can be said of a frame in a line for each column."""
    said: dict[str, Any] = {"rows": len(frame), "columns": [str(label) for label in frame.columns]}
    for number, label in enumerate(frame.columns):
        column = frame.iloc[:, number]
        said[f"{label}: type"] = str(column.dtype)
        said[f"{label}: missing"] = int(column.isna().sum())
        if column.dtype.kind in "iuf":
            for name in ("mean", "std", "min", "max"):
                said[f"{label}: {name}"] = _rounded(getattr(column, name)())
        elif column.dtype.kind in "OSUT":
            said[f"{label}: distinct"] = int(column.astype(str).nunique())
    return said


def _rounded(number: Any) -> Any:
    try:
        return float(f"{float(number):.12g}")
    except (TypeError, ValueError):
        return str(number)  # of a column without any value
