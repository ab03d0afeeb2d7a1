"""Hooks that are ready to give to steps and pipelines: `@pipeline(on_failure=alert_on_failure)`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.components.alerter import Alerter, Level
from dovetail.execution.hooks import EndedRun, ended_run
from dovetail.execution.scope import StepScope, current
from dovetail.planning.workspace import Workspace
from dovetail.stack.references import redact
from dovetail.values.plan import Status

_log = logging.getLogger("dovetail")
_MOST_ERRORS = 5  # of a run's failed steps are told with their errors


def alert_on_failure(error: BaseException | None = None) -> None:
    """As `on_failure=` of a step or pipeline: tells the stack's alerter what failed and why; a warning is logged where it has none.

    A step tells once it has failed for good, not at each retry. What an alerter raises is warned of and changes no result.
    """
    scope, ended = current(), ended_run()
    if ended is not None:
        status = ended.record["status"]
        level = Level.ERROR if Status(status) is Status.FAILED else Level.WARNING
        _tell(ended.workspace, _title_of(ended), _why(ended, error), level, _facts_of(ended))
    elif scope is not None:
        _tell(scope.workspace, _title_in(scope, "failed"), _described(error), Level.ERROR, _facts_in(scope))


def alert_on_success() -> None:
    """As `on_success=` of a step or pipeline: tells the stack's alerter that it is done."""
    scope, ended = current(), ended_run()
    if ended is not None:
        _tell(ended.workspace, _title_of(ended), _steps_of(ended), Level.INFO, _facts_of(ended))
    elif scope is not None:
        _tell(scope.workspace, _title_in(scope, "completed"), "", Level.INFO, _facts_in(scope))


def _tell(workspace: Workspace, title: str, text: str, level: Level, fields: Mapping[str, str]) -> None:
    """Not by the client's view of the stack, which would note for the cache that the step asked for its alerter."""
    alerter: Any = workspace.stack.build("alerter")
    if isinstance(alerter, Alerter):
        alerter.post(redact(text, workspace.stack.secrets()), title=title, level=level, fields=fields)
        return
    severity = logging.INFO if level is Level.INFO else logging.WARNING
    _log.log(severity, "Stack '%s' has no alerter, so nobody is told: %s. Add one: dovetail alerter flavors.", workspace.stack.name, title)


def _title_in(scope: StepScope, ending: str) -> str:
    return f"Step '{scope.step_run.name}' of pipeline '{scope.step_run.pipeline}' {ending}"


def _facts_in(scope: StepScope) -> dict[str, str]:
    run = scope.step_run
    facts = {"run": run.run_name, "run id": run.run_id, "stack": run.stack}
    return {**facts, "attempt": str(run.attempt)} if run.attempt > 1 else facts


def _title_of(ended: EndedRun) -> str:
    return f"Pipeline '{ended.record['pipeline']}' {ended.record['status']}"


def _facts_of(ended: EndedRun) -> dict[str, str]:
    record = ended.record
    took = f"{record['ended'] - record['created']:.1f} s"
    return {"run": str(record["name"]), "run id": str(record["id"]), "stack": str(record["stack"]), "took": took}


def _steps_of(ended: EndedRun) -> str:
    count = len(ended.record["steps"])
    return f"{count} step{'s' if count != 1 else ''} {'are' if count != 1 else 'is'} done."


def _why(ended: EndedRun, error: BaseException | None) -> str:
    lines = list(_failures(ended))
    if len(lines) > _MOST_ERRORS:
        lines[_MOST_ERRORS:] = [f"… and {len(lines) - _MOST_ERRORS} more."]
    return "\n".join(lines) or _described(error)


def _failures(ended: EndedRun) -> Iterator[str]:
    records = ended.workspace.ledger.run(str(ended.record["id"]))
    for name, step in ended.record["steps"].items():
        outcome = records.outcome(name) if step["status"] == Status.FAILED else None
        if outcome is not None and "children" not in outcome:
            failure = outcome.get("error", {})
            yield f"Step '{name}' failed: {failure.get('type', '').rpartition(':')[2]}: {failure.get('message', '')}"


def _described(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"
