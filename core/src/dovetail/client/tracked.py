"""Where the stack's experiment tracker shows the steps of a run."""

from __future__ import annotations

from typing import Any

from dovetail.client.views import Run
from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.planning.workspace import Workspace
from dovetail.values.context import StepRun
from dovetail.values.plan import Status


def tracker_urls(workspace: Workspace, run: Run) -> list[str]:
    """One for each address that the tracker gives, of the steps that were tracked; nothing where it cannot say."""
    try:
        tracker: Any = workspace.stack.build("experiment_tracker")
        if not isinstance(tracker, ExperimentTracker) or type(tracker).url is ExperimentTracker.url:
            return []
        prepared = (workspace.ledger.run(run.id).started() or {}).get("prepared", {}).get("experiment_tracker")
        told = (
            tracker.url(_step_run(run, name, prepared)) for name, step in run.steps.items() if step.status is not Status.SKIPPED
        )
        return list(dict.fromkeys(url for url in told if url))
    except Exception:  # whatever a vendor's client raises; the record has it all
        return []


def _step_run(run: Run, name: str, prepared: Any) -> StepRun:
    return StepRun(
        run.id, run.name, run.pipeline, name, name.partition(".")[0], tags=run.tags, stack=run.stack, prepared=prepared
    )
