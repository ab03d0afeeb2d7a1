"""A job of an engine's graph: drives its one step, whose inputs, cache entry and conditions it looks up when it starts.

The step itself runs in a process of its own, as on every engine, so that time-outs, retries and lost workers are what they are everywhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, cast

from dovetail.components.job import Job, RunningJob
from dovetail.components.orchestrator import Task
from dovetail.components.process import RunningProcess
from dovetail.execution.driver import Driver
from dovetail.execution.importing import definition_of
from dovetail.execution.pulse import Pulse
from dovetail.execution.tasks import StepTask
from dovetail.execution.work import RunInfo
from dovetail.execution.worker import Worker
from dovetail.ledger.runs import RunRecords
from dovetail.values.plan import Plan, PlanStep, Status
from dovetail.worker import ExitCode

_LOOK = 2.0  # seconds between two looks at another's worker


def run_node(address: str, invocation: str) -> ExitCode:
    """Bring a step to its outcome; the exit code tells the engine whether what waits for it may start."""
    worker = Worker.at(address, elsewhere=True)
    node = worker.records.node(invocation)
    if worker.records.outcome(invocation) is None:
        info = RunInfo.from_json(node["run"])
        plan = Plan.from_json(node["plan"])
        _drive(worker, info, plan)
    return _exit_code(worker, invocation)


def _drive(worker: Worker, info: RunInfo, plan: Plan) -> None:
    step = plan.steps[0]
    workspace = worker.workspace_for(info)
    records = workspace.ledger.run(info.run_id)
    children = (records.expansion(step.invocation) or {}).get("children", ()) if step.node.mapped is not None else ()
    needed = [*(name for name, _ in step.node.upstream()), *children]  # children: of a container that died before
    before = {name: outcome for name in needed if (outcome := records.outcome(name)) is not None}
    driver = _QuietDriver(workspace, plan, definition_of, outcomes=before)
    driver.info = info
    stops = plan.options.get("failure_policy", "stop") == "stop"
    driver.failed = records.failure() if stops else None
    if records.cancelled():
        driver.cancel()
    here = _Here()
    signal.signal(signal.SIGTERM, here.terminate)
    try:
        with Pulse(records, flush=lambda: None, on_cancel=driver.cancel, beat=None):
            driver.drive(here.start, slots=_slots(step), capacity=step.resources)
        driver.settled()
        if stops and driver.failed is not None:
            records.note_failure(driver.failed)
    finally:
        driver.close()


class _QuietDriver(Driver):
    def announce(self, event: str, facts: Mapping[str, Any]) -> None:
        """Nobody: who submitted the run tells of it."""


def _slots(step: PlanStep) -> int:
    """How many children of a mapped step run at once."""
    return os.cpu_count() or 1 if step.node.mapped is not None else 1


def _exit_code(worker: Worker, invocation: str) -> ExitCode:
    outcome = worker.records.outcome(invocation)
    if outcome is None:
        return ExitCode.TRY_AGAIN
    status = Status(outcome["status"])
    return ExitCode.DONE if status.is_success or status is Status.SKIPPED else ExitCode.FAILED


def _of_another(records: RunRecords, invocation: str) -> dict[str, Any] | None:
    """What another job for the same step comes to that still works on it, as engines may start one twice; None where there is none."""
    attempts = records.attempts(invocation)
    while attempts and records.attempt(invocation, attempts[-1], "ended") is None and records.is_beating(invocation, attempts[-1]):
        outcome = records.outcome(invocation)
        if outcome is not None:
            return outcome
        time.sleep(_LOOK)
    return records.outcome(invocation) if attempts else None


class _Here:
    """Starts workers as processes of this container, and hands the engine's wish to end on to them."""

    def __init__(self) -> None:
        self._terminated = False
        self._running: list[RunningProcess] = []

    def start(self, task: Task) -> None:
        step_task = cast(StepTask, task)
        records = step_task.driver.records
        step_task.outcome = _of_another(records, task.invocation)
        if step_task.outcome is None:
            step_task.made = len(records.attempts(task.invocation))
            step_task.run_beside(self._process)

    def _process(self, job: Job) -> RunningJob:
        if self._terminated:
            os._exit(ExitCode.TRY_AGAIN)  # nothing is lost: the engine starts this again, if it is to be
        environ: dict[str, Any] = {**os.environ, **job.variables, **job.credentials, **job.secrets}
        process = subprocess.Popen([sys.executable, *job.command], stdin=subprocess.DEVNULL, env=environ, start_new_session=True)
        running = RunningProcess(process)
        self._running = [known for known in self._running if known.process.poll() is None] + [running]
        return running

    def terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self._terminated = True
        for running in self._running:
            running.process.terminate()
