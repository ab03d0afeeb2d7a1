"""What one step run needs to know of its run; small enough to be sent to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dovetail.values.plan import Plan


@dataclass(frozen=True, slots=True)
class RunInfo:
    """`models`: name → claimed version. `pins`: `name@stage` → the version that the plan found there. `prepared`: what components returned for the run, by component type.
    `started`: whether versions were claimed and components prepared, which is done when the first step is about to run."""

    run_id: str
    run_name: str
    pipeline: str
    created: float
    stack: Mapping[str, Any]
    package: str | None = None
    root: str | None = None
    tags: tuple[str, ...] = ()
    models: Mapping[str, int | None] = field(default_factory=dict)
    substitutions: Mapping[str, str] = field(default_factory=dict)
    prepared: Mapping[str, Any] = field(default_factory=dict)
    started: bool = False
    pins: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> RunInfo:
        substitutions = plan.options.get("substitutions", {})
        return cls(
            plan.run_id, plan.run_name, plan.pipeline, plan.created, plan.stack, plan.package, plan.root, plan.tags,
            plan.models, substitutions, pins=plan.pins,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunInfo:
        return cls(**{**record, "tags": tuple(record["tags"])})
