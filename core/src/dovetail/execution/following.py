"""A run that an engine carries out as a graph of its own, as who submitted it sees it: the ledger tells how its steps fare."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from dovetail.components.job import JobGraph, RunningJob
from dovetail.errors import DovetailError, StepFailed, WorkerLost
from dovetail.execution.attempt import commit, told_error
from dovetail.execution.jobs import INTERRUPTED, graph_of, started
from dovetail.execution.work import RunInfo
from dovetail.ledger.runs import RunRecords
from dovetail.planning.workspace import Workspace
from dovetail.stack.references import redact
from dovetail.values.plan import Plan, PlanStep, Status

_log = logging.getLogger("dovetail")
_LOOK = 0.2  # seconds between two looks at a store on this machine
_FAR = 2.0  # and at one that is asked by requests
_EACH = 0.02  # seconds more for each step that is looked for
_WITHOUT_ENGINE = 2.0  # seconds before an engine that does not answer is asked again
_STOPPING = 30.0  # seconds that an engine has to end a graph that it was asked to stop


class Handed(Protocol):
    """What following needs of the run that was handed over."""

    workspace: Workspace
    plan: Plan
    info: RunInfo
    records: RunRecords
    outcomes: dict[str, dict[str, Any]]
    first_error: BaseException | None

    def left(self) -> list[PlanStep]: ...
    def ready(self) -> list[PlanStep]: ...
    def cancelled(self) -> bool: ...
    def reason_to_stop(self) -> str | None: ...
    def skip(self, step: PlanStep, reason: str) -> None: ...
    def settle(self, step: PlanStep, outcome: dict[str, Any]) -> None: ...
    def settle_open(self, status: Status, why: str) -> None: ...
    def tell(self, event: str, step: PlanStep, **facts: Any) -> None: ...


class Following:
    """Takes each outcome as it is recorded, skips what is not to run any more, and closes what the engine left open."""

    def __init__(self, driver: Handed, running: RunningJob) -> None:
        self._driver = driver
        self._running = running
        self._awaited: dict[str, PlanStep] = {}
        self._seen: set[str] = set()
        self._stop_by: float | None = None

    @classmethod
    def begun(cls, driver: Handed, start: Callable[[JobGraph], RunningJob]) -> Following:
        workspace = driver.workspace
        steps = driver.left()
        info = replace(driver.info, stack=workspace.stack.anchored_snapshot())
        plan = replace(driver.plan, stack=info.stack, steps=(), codes={}, images={}, notes=())
        for step in steps:
            driver.records.write_node(step.invocation, {"run": info.to_json(), "plan": replace(plan, steps=(step,)).to_json()})
        keep_going = driver.plan.options.get("failure_policy", "stop") != "stop"
        graph = graph_of(workspace, driver.info, steps, keep_going=keep_going)
        driver.records.hand_over({"orchestrator": workspace.stack.components["orchestrator"].name, "graph": graph.name})
        running = started(start, graph, driver.cancelled)
        driver.records.note_address(running.address)
        return cls(driver, running)

    def until_it_ended(self) -> None:
        code: int | None = None
        while self._driver.left() and code is None:
            try:
                self._look()
            except OSError as error:
                _log.warning("The store cannot be asked how the run fares: %s", error)
                time.sleep(_WITHOUT_ENGINE)
            if self._driver.cancelled():
                self._stop()
                if self._stop_by is not None and time.monotonic() > self._stop_by:
                    break
            code = self._waited()
        self._look()
        self._close(code)

    def _waited(self) -> int | None:
        pause = _FAR + _EACH * len(self._awaited) if self._driver.workspace.store.is_far else _LOOK
        try:
            return self._running.wait(pause)
        except (OSError, DovetailError) as error:  # nothing that is wrong here ends what goes on there
            _log.warning("The engine cannot be asked how the run fares: %s", error)
            time.sleep(_WITHOUT_ENGINE)
            return None

    def _stop(self) -> None:
        if self._stop_by is None:
            self._stop_by = time.monotonic() + _STOPPING
            self._driver.records.ask_to_cancel(INTERRUPTED)
            with contextlib.suppress(Exception):  # its workers hear of it from the ledger too
                self._running.stop()

    # -- outcomes ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take what is recorded by now, and what follows from it."""
        self._await_more()
        found = True
        while found:
            found = False
            for name, step in list(self._awaited.items()):
                outcome = self._driver.records.outcome(name)
                if outcome is not None:
                    found = True
                    self._take(step, outcome)
                    del self._awaited[name]
                elif name not in self._seen and self._has_begun(step):
                    self._seen.add(name)
                    self._driver.tell("dovetail_step_started", step, status=Status.RUNNING.value, attempt=1)
            self._await_more()

    def _await_more(self) -> None:
        for step in self._driver.ready():
            self._awaited[step.invocation] = step
        reason = self._driver.reason_to_stop()
        if reason is not None and not self._driver.cancelled():
            for name, step in list(self._awaited.items()):
                if not self._has_begun(step):
                    self._driver.skip(step, reason)
                    del self._awaited[name]

    def _has_begun(self, step: PlanStep) -> bool:
        records = self._driver.records
        return records.expansion(step.invocation) is not None if step.node.mapped is not None else bool(records.attempts(step.invocation))

    def _take(self, step: PlanStep, outcome: dict[str, Any]) -> None:
        children = {child: found for child in outcome.get("children", ()) if (found := self._driver.records.outcome(child)) is not None}
        self._driver.outcomes.update(children)
        if outcome["status"] == Status.FAILED and self._driver.first_error is None:
            failed = next((child for child in children.values() if "error" in child), outcome)
            error = failed.get("error", {})
            self._driver.first_error = StepFailed(f"{error.get('type', '').rpartition(':')[2]}: {error.get('message', '')}")
        self._driver.settle(step, outcome)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _close(self, code: int | None) -> None:
        """Give an outcome to each step whose job ended without one."""
        if self._driver.cancelled():
            self._driver.settle_open(Status.CANCELLED, "the run was cancelled")
        while self._driver.left() and self._awaited:
            lost = WorkerLost(f"{self._ended_how(code)}".strip())
            for name, step in list(self._awaited.items()):
                del self._awaited[name]
                self._lose(step, lost)
            self._await_more()
            self._look()

    def _lose(self, step: PlanStep, error: WorkerLost) -> None:
        now = time.time()
        driver = self._driver
        outcome = {"status": Status.FAILED.value, "started": now, "ended": now, "inputs": {}, "outputs": {}, "error": told_error(driver.workspace, error)}
        won = commit(driver.workspace, driver.info, step, None, outcome)
        driver.first_error = driver.first_error or error
        driver.settle(step, outcome if won else driver.records.outcome(step.invocation) or outcome)

    def _ended_how(self, code: int | None) -> str:
        said = ""
        with contextlib.suppress(Exception):
            said = redact(self._running.explain(), self._driver.workspace.stack.secrets())
        return f"The engine ended the run's graph with code {code} before the step had an outcome. {said}"
