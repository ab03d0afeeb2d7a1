"""What W&B is told of a step run besides what the step logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dovetail.components import StepRun

OWN = "dovetail"  # what is said stands under this key of the config
STEP = "dovetail/step"  # the x axis of metrics that were logged with a step
STATUS = "dovetail/status"  # in the summary: completed, cached or failed
_LABEL_CHARACTERS = 64  # W&B refuses longer ones


def about(step_run: StepRun, tags: Mapping[str, str]) -> dict[str, Any]:
    """The config's own part, which leads back to the record."""
    said: dict[str, Any] = {
        "run": step_run.run_id,
        "run_name": step_run.run_name,
        "pipeline": step_run.pipeline,
        "step": step_run.name,
        "attempt": step_run.attempt,
        "stack": step_run.stack,
        "parameters": dict(step_run.parameters),
        "model": step_run.model,
        "model_version": step_run.model_version,
        "tags": dict(tags),
    }
    return {name: value for name, value in said.items() if value not in (None, {})}


def labels(configured: Iterable[str], step_run: StepRun, tags: Mapping[str, str]) -> tuple[str, ...]:
    """W&B's tags are words for filtering; those of a step are said as `name:value`, cut where W&B would refuse them."""
    named = (f"{name}:{value}" if value else name for name, value in tags.items())
    words = (word[:_LABEL_CHARACTERS].strip() for word in (*configured, *step_run.tags, *named))
    return tuple(dict.fromkeys(word for word in words if word))
