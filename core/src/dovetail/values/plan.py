"""What a run will do, step by step, and why: the value that orchestrators take."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.values.graph import Node
from dovetail.values.settings import Environment, Resources, Retry


class Decision(str, enum.Enum):
    RUN = "run"
    CACHED = "cached"
    LATER = "later"  # decided when what it takes is known
    TAKEN = "taken over"  # committed by the run that this one resumes


class Status(str, enum.Enum):
    """Of runs and step runs. `cached`: a step that took an earlier result, or a run of nothing but such steps."""

    INITIALIZING = "initializing"
    RUNNING = "running"
    COMPLETED = "completed"
    CACHED = "cached"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"

    __str__ = str.__str__

    @property
    def is_final(self) -> bool:
        return self not in (Status.INITIALIZING, Status.RUNNING)

    @property
    def is_success(self) -> bool:
        return self in (Status.COMPLETED, Status.CACHED)


@dataclass(frozen=True, slots=True)
class Code:
    """The code that a step's key covers: digests of its parts by name, and the third-party packages it imports by version."""

    parts: Mapping[str, str]
    packages: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {"parts": dict(self.parts), "packages": dict(self.packages)}


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One invocation. `options`: the step's own, over the pipeline's. `code`: digest into `Plan.codes`.

    `base`: digest of all parts of the key but the inputs; None where the step is not cached, and `uncached` says why.
    `entry`: the record whose result is taken. `image`: the container image in which its worker runs, where that runs in one.
    """

    node: Node
    decision: Decision
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    base: str | None = None
    uncached: str | None = None
    key: str | None = None
    entry: Mapping[str, Any] | None = None
    image: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def invocation(self) -> str:
        return self.node.invocation

    @property
    def retry(self) -> Retry:
        return Retry(**{**self.options["retry"], "on": tuple(self.options["retry"].get("on", ()))}) if "retry" in self.options else _NO_RETRY

    @property
    def resources(self) -> Resources:
        return Resources(**self.options["resources"]) if "resources" in self.options else _NO_RESOURCES

    @property
    def environment(self) -> Environment:
        return Environment(**self.options["environment"]) if "environment" in self.options else _NO_ENVIRONMENT

    @property
    def timeout(self) -> float | None:
        return self.options.get("timeout")

    def to_json(self) -> dict[str, Any]:
        record: dict[str, Any] = {"node": self.node.to_json(), "decision": self.decision.value, "why": self.why}
        for name in ("options", "code", "base", "uncached", "key", "entry", "image"):
            value = getattr(self, name)
            if value:
                record[name] = dict(value) if isinstance(value, Mapping) else value
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> PlanStep:
        return cls(**{**record, "node": Node.from_json(record["node"]), "decision": Decision(record["decision"])})


_NO_RETRY = Retry(max_retries=0)
_NO_RESOURCES = Resources()
_NO_ENVIRONMENT = Environment()


@dataclass(frozen=True, slots=True)
class Plan:
    """`stack`: the stack's snapshot, without secrets. `package`: digest of the code that the run keeps.

    `models`: name → version number, or None for a new one. `pins`: what each version or stage that steps name resolved to, as
    `name@stage` → number. `notes`: what a person should know and no check refuses.
    `images`: by reference, what each image that
    may have to be built is made of. `versions`: of Dovetail and the stack's plugins, where steps run in images.
    `code`: where `package` is the whole project, for steps that run elsewhere: its size, the commit and what differs from it.
    `scheduled_for`: the moment at which its schedule was to start it.
    `problems`: why it cannot start, as far as planning found; what was begun has none, so they are not recorded.
    """

    run_id: str
    run_name: str
    pipeline: str
    created: float
    stack: Mapping[str, Any]
    steps: tuple[PlanStep, ...]
    source: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[str, Code] = field(default_factory=dict)
    package: str | None = None
    code: Mapping[str, Any] | None = None
    root: str | None = None
    models: Mapping[str, int | None] = field(default_factory=dict)
    pins: Mapping[str, int] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resumes: str | None = None
    scheduled_for: float | None = None
    images: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def step(self, invocation: str) -> PlanStep:
        return next(step for step in self.steps if step.invocation == invocation)

    def to_json(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in _PLAIN}
        for name in ("stack", "parameters", "options", "models", "pins", "images", "versions"):
            record[name] = dict(record[name])
        return {
            **record,
            "tags": list(self.tags),
            "notes": list(self.notes),
            "codes": {digest: code.to_json() for digest, code in self.codes.items()},
            "steps": [step.to_json() for step in self.steps],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Plan:
        return cls(
            **{name: record[name] for name in _PLAIN if name in record},
            tags=tuple(record.get("tags", ())),
            notes=tuple(record.get("notes", ())),
            codes={digest: Code(**code) for digest, code in record.get("codes", {}).items()},
            steps=tuple(PlanStep.from_json(step) for step in record["steps"]),
        )

    def __str__(self) -> str:
        return "\n".join(describe(self))


_PLAIN = (
    "run_id", "run_name", "pipeline", "created", "stack", "source", "parameters", "options", "package", "code", "root", "models", "pins", "resumes", "scheduled_for",
    "images", "versions",
)  # fmt: skip


def describe(plan: Plan) -> Sequence[str]:
    """A plan as lines of text."""
    width = max((len(step.invocation) for step in plan.steps), default=0)
    store = plan.stack.get("components", {}).get("artifact_store", {}).get("name", "?")
    lines = [f"Pipeline '{plan.pipeline}' on stack '{plan.stack.get('name', '?')}'; cache, versions and models are those of artifact store '{store}'"]
    for step in plan.steps:
        lines.append(f"  {step.invocation:<{width}}  {step.decision.value:<10}  {step.why}")
        lines += [f"  {'':<{width}}  {'':<10}  image: {step.image}"] if step.image else []
        lines += [f"  {'':<{width}}  {'':<10}  note: {warning}" for warning in step.warnings]
    counts = {decision: sum(step.decision is decision for step in plan.steps) for decision in Decision}
    said = ", ".join(f"{count} {decision.value}" for decision, count in counts.items() if count)
    lines.append(f"{len(plan.steps)} steps: {said or 'none'}")
    lines += [*pinned(plan), *(f"note: {note}" for note in plan.notes)]
    return lines


def pinned(plan: Plan) -> Sequence[str]:
    """Which version each stage is that steps name, a line each."""
    stages = ((*key.rpartition("@")[::2], number) for key, number in plan.pins.items())
    return [f"Model '{name}' in {stage} is version {number}." for name, stage, number in stages if not stage.isdecimal()]
