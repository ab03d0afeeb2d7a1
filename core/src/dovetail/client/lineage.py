"""A run's lineage: its steps, what they took and gave, and how each ended. Made of records alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.client.views import Run
from dovetail.errors import StoreError
from dovetail.execution.finishing import step_summary
from dovetail.planning.keys import references
from dovetail.values.encoding import decode
from dovetail.values.graph import references_of
from dovetail.values.plan import PlanStep

OUTSIDE = ""  # the producer of what came from outside the run
WAITING = "waiting"  # of a step that has not begun


@dataclass(frozen=True)
class LineageArtifact:
    """Something that a step gives. `producer` is `OUTSIDE` for a value that came from elsewhere; `digest` is None while there is none."""

    producer: str
    output: str
    name: str | None = None
    version: int | None = None
    type: str | None = None
    size: int | None = None
    digest: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.producer, self.output

    @property
    def label(self) -> str:
        """The name that a person knows it by, with its version: `model v3`; one that was not named goes by its output's."""
        return self._with_version(self.output if self._is_unnamed else self.name or self.output)

    @property
    def full_label(self) -> str:
        """The same where the step that gives it is not seen beside it."""
        return self._with_version(f"{self.producer}.{self.output}" if self._is_unnamed else self.name or self.output)

    @property
    def _is_unnamed(self) -> bool:
        return self.producer != OUTSIDE and (self.name is None or self.name.endswith(f".{self.producer}.{self.output}"))

    def _with_version(self, shown: str) -> str:
        return f"{shown} v{self.version}" if self.version is not None else shown


@dataclass(frozen=True)
class LineageStep:
    """One invocation. `takes`: keys of artifacts. `awaits`: steps that it only waits for, or whose output is its condition.

    `children`: how many children of a mapped step ended in each status.
    """

    name: str
    status: str
    seconds: float | None = None
    takes: tuple[tuple[str, str], ...] = ()
    awaits: tuple[str, ...] = ()
    gives: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    children: Mapping[str, int] = field(default_factory=dict)
    why: str | None = None
    error: str | None = None

    @property
    def took(self) -> float | None:
        """Seconds, where it ran at all."""
        return self.seconds if self.status in ("completed", "failed") else None


@dataclass(frozen=True)
class Lineage:
    run_id: str
    run_name: str
    pipeline: str
    stack: str
    status: str
    seconds: float | None
    steps: Mapping[str, LineageStep]
    artifacts: Mapping[tuple[str, str], LineageArtifact]


def lineage_of(run: Run) -> Lineage:
    """Raises StoreError where the run's plan is not there."""
    ended = run.header.get("steps", {}) if run.status.is_final else {}
    artifacts: dict[tuple[str, str], LineageArtifact] = {}
    steps: dict[str, LineageStep] = {}
    for planned in run.plan.steps:
        record = ended.get(planned.invocation) or _so_far(run, planned.invocation)
        for artifact in _given(planned, record):
            artifacts[artifact.key] = artifact
        steps[planned.invocation] = _step(run, planned, record, ended)
    for step in steps.values():
        for key in step.takes:
            artifacts.setdefault(key, _from_outside(run, key))
    return Lineage(run.id, run.name, run.pipeline, run.stack, run.status.value, run.seconds, steps, artifacts)


def as_json(lineage: Lineage) -> dict[str, Any]:
    """The lineage as plain data: steps by name, and artifacts with their digests, each with the step that gave it."""
    record = dataclasses.asdict(lineage)
    numbers = {key: number for number, key in enumerate(lineage.artifacts)}
    record["artifacts"] = [dataclasses.asdict(artifact) for artifact in lineage.artifacts.values()]
    for name, step in lineage.steps.items():
        record["steps"][name]["takes"] = [numbers[key] for key in step.takes]
        record["steps"][name]["gives"] = [numbers[key] for key in step.gives]
    return record


def _so_far(run: Run, invocation: str) -> Mapping[str, Any]:
    step_run = run.steps.get(invocation)
    if step_run is None:
        return {}
    return step_summary(step_run.outcome) if step_run.outcome is not None else {"status": step_run.status.value}


def _given(planned: PlanStep, record: Mapping[str, Any]) -> Iterator[LineageArtifact]:
    outputs = record.get("outputs", {})
    for spec in planned.node.outputs:
        said = outputs.get(spec.name, {})
        yield LineageArtifact(
            planned.invocation,
            spec.name,
            said.get("artifact"),
            said.get("version"),
            said.get("type"),
            said.get("size"),
            said.get("digest"),
        )


def _step(run: Run, planned: PlanStep, record: Mapping[str, Any], ended: Mapping[str, Any]) -> LineageStep:
    node = planned.node
    status = str(record.get("status", WAITING))
    step_run = run.steps.get(planned.invocation)
    told = step_run is not None and status not in ("completed", WAITING)
    return LineageStep(
        name=planned.invocation,
        status=WAITING if status == "initializing" else status,
        seconds=record["ended"] - record["started"] if "ended" in record else None,
        takes=tuple(dict.fromkeys(_taken(node.inputs))),
        awaits=tuple(dict.fromkeys((*(name for condition in node.when for name, _ in references_of(condition)), *node.after))),
        gives=tuple((planned.invocation, spec.name) for spec in node.outputs),
        parameters={name: decode(given["value"]) for name, given in node.inputs.items() if "value" in given},
        metrics=record.get("metrics", {}),
        children=_children(record, ended),
        why=step_run.why if told and step_run is not None else None,
        error=_error(step_run) if told else None,
    )


def _taken(inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for given in inputs.values():
        yield from references_of(given)
        yield from ((OUTSIDE, digest) for digest in references(given))


def _children(record: Mapping[str, Any], ended: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for child in record.get("children", ()):
        status = str(ended.get(child, {}).get("status", WAITING))
        counts[status] = counts.get(status, 0) + 1
    return counts


def _error(step_run: Any) -> str | None:
    error = step_run.error
    return f"{error['type'].rpartition(':')[2]}: {error['message']}" if error is not None else None


def _from_outside(run: Run, key: tuple[str, str]) -> LineageArtifact:
    digest = key[1]
    try:
        manifest = run.query.ledger.artifacts.find(digest)
    except StoreError:
        manifest = None
    type_ = manifest.type if manifest is not None else None
    return LineageArtifact(
        OUTSIDE, digest, f"from outside {digest[:8]}", None, type_, manifest.size if manifest is not None else None, digest
    )
