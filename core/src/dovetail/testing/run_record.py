"""What a run's record says, without what differs from run to run: to compare runs of one pipeline on two stacks."""

from __future__ import annotations

from typing import Any

from dovetail.client.views import Run, StepRun
from dovetail.planning.keys import references
from dovetail.values.plan import Status


def described(run: Run) -> dict[str, Any]:
    """Status, lineage, artifacts and cache keys of a run."""
    return {"status": run.status, "steps": {name: _step(step) for name, step in run.steps.items()}, "error": run.error}


def _step(step: StepRun) -> dict[str, Any]:
    outcome = step.outcome or {}
    return {
        "status": step.status,
        "inputs": {name: sorted(references(given)) for name, given in outcome.get("inputs", {}).items()},
        "parameters": step.parameters,
        "outputs": {name: (output.digest, output.name, output.type, output.size) for name, output in step.outputs.items()},
        "key": outcome.get("key"),
        "params": step.params,
        "metrics": step.metrics,
        "metadata": step.metadata,
        "error": (step.error["type"], step.error["message"]) if step.error is not None else None,
        "why": step.why,
        "children": [child.name for child in step.children],
        "attempts": step.attempts,
    }


def started_behind(run: Run) -> dict[str, list[str]]:
    """The steps that started before something that they take, or wait for, had ended."""
    times = {name: step.outcome for name, step in run.steps.items() if step.outcome is not None}
    early = {
        step.invocation: [above for above, _ in step.node.upstream() if times[above]["ended"] > times[step.invocation]["started"]]
        for step in run.plan.steps
    }
    return {name: above for name, above in early.items() if above}


def failed_as_asked(step: StepRun, error: str, *, attempts: int | None = None) -> bool:
    """Whether the step failed with an error of that type, after so many attempts where that is asked."""
    seen = step.error["type"] if step.error is not None else None
    return (step.status, seen, step.attempts) == (Status.FAILED, error, step.attempts if attempts is None else attempts)
