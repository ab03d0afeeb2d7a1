"""Which step this code runs in, and what components are told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dovetail.values.encoding import Json


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of one run, as components see it.

    `name`: the invocation's name. `prepared`: what this component's `prepare` returned for the run. `status`: how the
    step ended, once it has. `inputs`, `outputs`: the artifacts that it took and gave, by parameter and by output, once it
    has ended; each says its `artifact` (the name, None for one that has none), `version`, `digest`, `type`, `kind` and `uri`.
    `variables`: the environment variables that the step asks for itself.
    """

    run_id: str
    run_name: str
    pipeline: str
    name: str
    step: str
    attempt: int = 1
    parameters: Mapping[str, Json] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    model: str | None = None
    model_version: int | None = None
    stack: str = "default"
    prepared: Json = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    status: str | None = None
    inputs: Mapping[str, Sequence[Mapping[str, Json]]] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
