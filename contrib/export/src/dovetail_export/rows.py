"""What a run becomes: dicts whose first keys are the columns named here; nested ones become columns of their own in CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.client.views import Run

Row = dict[str, Any]
_RUN = ("run", "run_name", "pipeline")
RUNS_COLUMNS = (*_RUN, "stack", "status", "created", "ended", "seconds", "tags", "error")
STEPS_COLUMNS = (*_RUN, "step", "status", "attempts", "seconds", "why", "error")
METRICS_COLUMNS = (*_RUN, "step", "metric", "value", "number", "time")
ARTIFACTS_COLUMNS = (*_RUN, "step", "output", "artifact", "version", "type", "size", "digest", "uri")


def runs(run: Run) -> Iterator[Row]:
    said = (run.stack, run.status.value, _time(run.created), _time(run.ended), run.seconds, list(run.tags), run.error)
    yield {**_named(run), **dict(zip(RUNS_COLUMNS[3:], said, strict=True)), "parameters": run.parameters}


def steps(run: Run) -> Iterator[Row]:
    for name, step in run.steps.items():
        error = f"{step.error['type'].rpartition(':')[2]}: {step.error['message']}" if step.error else None
        said = (name, step.status.value, step.attempts, step.seconds, step.why, error)
        yield {**_named(run), **dict(zip(STEPS_COLUMNS[3:], said, strict=True)), "params": step.params, "metrics": step.metrics}


def metrics(run: Run) -> Iterator[Row]:
    for name, step in run.steps.items():
        for metric in step.metrics:
            for value, number, at in step.metric_history(metric):
                yield {**_named(run), "step": name, "metric": metric, "value": value, "number": number, "time": _time(at)}


def artifacts(run: Run) -> Iterator[Row]:
    for name, step in run.steps.items():
        for output, made in step.outputs.items():
            said = (name, output, made.name, made.version, made.type, made.size, made.digest, made.uri)
            yield {**_named(run), **dict(zip(ARTIFACTS_COLUMNS[3:], said, strict=True))}


def _named(run: Run) -> Row:
    return dict(zip(_RUN, (run.id, run.name, run.pipeline), strict=True))


def _time(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None
