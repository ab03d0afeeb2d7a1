"""One step run by a process of its own that an engine started: it holds its own lease, keeps its own time and hears of cancellations."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

from dovetail.errors import DovetailError, RunCancelled, StepTimeout, WorkerLost
from dovetail.execution.attempt import Attempt, flush_all, give_up, settle
from dovetail.execution.pulse import Pulse
from dovetail.execution.stopping import stop_steps
from dovetail.execution.worker import Worker
from dovetail.ledger.runs import RunRecords
from dovetail.values.plan import Status
from dovetail.values.processes import process_identity
from dovetail.worker import ExitCode

_PATIENCE = 5.0  # seconds that a step has to end once it was asked to


def run_step(address: str, invocation: str, number: int) -> ExitCode:
    """Run one attempt; the exit code tells an engine whether to start another."""
    worker = Worker.at(address, elsewhere=True)
    try:
        attempt = worker.attempt(invocation, number)
    except Exception as error:
        print(error, file=sys.stderr)
        return _exit_code(worker.refuse(invocation, number, error))
    return _Alone(attempt).run()


class _Alone:
    """The attempt that this process exists for."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._records: RunRecords = attempt.workspace.ledger.run(attempt.run.run_id)
        self._stop_by: float | None = None
        self._lock = threading.Lock()
        self._ended = False
        timeout = attempt.step.timeout
        self._deadline = time.monotonic() + timeout if timeout is not None else None

    def run(self) -> ExitCode:
        me, invocation, number = process_identity(), self._attempt.step.invocation, self._attempt.number
        signal.signal(signal.SIGTERM, self._terminated)

        def beat() -> None:
            self._records.beat_attempt(invocation, number, me)

        with Pulse(self._records, flush=self._tend, on_cancel=self._cancelled, beat=beat):
            outcome, _ = settle(self._attempt)
        with self._lock:
            self._ended = True
        return _exit_code(outcome)

    def _tend(self) -> None:
        """Called every second: keep the log flowing, and end what is over its time."""
        flush_all(self._attempt.run.run_id)
        now = time.monotonic()
        if self._deadline is not None and now > self._deadline:
            timeout, name = self._attempt.step.timeout, self._attempt.step.invocation
            self._abandon(StepTimeout(f"Step '{name}' ran longer than its timeout of {timeout:g} s and was ended. Give it more, or make it faster."))
        elif self._stop_by is not None and now > self._stop_by:
            self._abandon(RunCancelled(f"it still ran {_PATIENCE:g} s after the run was asked to stop, and was left behind"))

    def _cancelled(self) -> None:
        self._stop_by = time.monotonic() + _PATIENCE
        stop_steps(self._attempt.run.run_id)

    def _abandon(self, error: DovetailError) -> None:
        """Commit for the step, which does not end, and end the process."""
        with self._lock:
            if self._ended:
                return
            attempt = self._attempt
            flush_all(attempt.run.run_id)
            outcome = give_up(attempt.workspace, attempt.run, attempt.step, attempt.number, attempt.inputs, error)
            sys.stderr.flush()
            os._exit(_exit_code(outcome))

    def _terminated(self, _signal: int, _frame: FrameType | None) -> None:
        """The engine wants the process to end: because the run was cancelled, or for reasons of its own."""
        if self._records.cancelled():
            raise RunCancelled("the run was asked to stop")
        raise WorkerLost("The engine asked the worker to end, as it does when it needs the machine for something else.")


def _exit_code(outcome: Mapping[str, Any] | None) -> ExitCode:
    if outcome is None:
        return ExitCode.TRY_AGAIN
    return ExitCode.DONE if Status(outcome["status"]).is_success else ExitCode.FAILED
