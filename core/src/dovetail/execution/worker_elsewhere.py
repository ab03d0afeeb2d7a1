"""One step run by a process of its own that an engine started: it holds its own lease, keeps its own time and hears of cancellations."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

from dovetail.errors import DovetailError, RunCancelled, StepTimeout, WorkerLost
from dovetail.execution.attempt import flush_all, settle
from dovetail.execution.pulse import Pulse
from dovetail.execution.stopping import stop_steps
from dovetail.execution.worker import Worker
from dovetail.ledger.runs import RunRecords
from dovetail.values.plan import Status
from dovetail.values.processes import process_identity
from dovetail.worker import ExitCode

_PATIENCE = 5.0  # seconds that a step has to end once it was asked to
_ASKING = 2.0  # seconds to find out why the process is to end


def run_step(address: str, invocation: str, number: int) -> ExitCode:
    """Run one attempt; the exit code tells an engine whether to start another."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what was printed before a kill is in the log
    return _Alone(Worker.at(address, elsewhere=True), invocation, number).run()


class _Alone:
    """The attempt that this process exists for. Its lease begins before its code is imported, its time when that is done."""

    def __init__(self, worker: Worker, invocation: str, number: int) -> None:
        self._worker = worker
        self._invocation = invocation
        self._number = number
        self._records: RunRecords = worker.records
        self._timeout: float | None = None
        self._deadline: float | None = None
        self._stop_by: float | None = None
        self._lock = threading.Lock()
        self._ended = False

    def run(self) -> ExitCode:
        me = process_identity()

        def beat() -> None:
            self._records.beat_attempt(self._invocation, self._number, me)

        signal.signal(signal.SIGTERM, self._terminated)
        beat()
        with Pulse(self._records, flush=self._tend, on_cancel=self._cancelled, beat=beat):
            outcome = self._performed()
        with self._lock:
            self._ended = True
        return _exit_code(outcome)

    def _performed(self) -> Mapping[str, Any] | None:
        try:
            attempt = self._worker.attempt(self._invocation, self._number)
            if self._stop_by is not None:
                raise RunCancelled("the run was asked to stop")
        except Exception as error:
            print(error, file=sys.stderr)
            return self._worker.refuse(self._invocation, self._number, error)
        self._timeout = attempt.step.timeout
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        try:
            return settle(attempt)[0]
        except (DovetailError, KeyboardInterrupt) as error:  # it was asked to end when its own code had ended
            return self._worker.refuse(self._invocation, self._number, error)

    def _tend(self) -> None:
        """Called every second: keep the log flowing, and end what is over its time."""
        now = time.monotonic()
        if self._deadline is not None and now > self._deadline:
            self._abandon(
                StepTimeout(f"Step '{self._invocation}' ran longer than its timeout of {self._timeout:g} s and was ended. Give it more, or make it faster.")
            )
        elif self._stop_by is not None and now > self._stop_by:
            self._abandon(RunCancelled(f"it still ran {_PATIENCE:g} s after the run was asked to stop, and was left behind"))
        else:
            flush_all(self._records.run_id)

    def _cancelled(self) -> None:
        self._stop_by = time.monotonic() + _PATIENCE
        stop_steps(self._records.run_id)

    def _abandon(self, error: DovetailError) -> None:
        """Commit for the step, which does not end, and end the process."""
        with self._lock:
            if self._ended:
                return
            with contextlib.suppress(OSError):
                flush_all(self._records.run_id)
            outcome = self._worker.refuse(self._invocation, self._number, error)
            sys.stderr.flush()
            os._exit(_exit_code(outcome))

    def _terminated(self, _signal: int, _frame: FrameType | None) -> None:
        """The engine wants the process to end: because the run was cancelled, or for reasons of its own."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        cancelled = threading.Event()

        def look() -> None:
            with contextlib.suppress(OSError):
                if self._records.cancelled():
                    cancelled.set()

        asking = threading.Thread(target=look, daemon=True)  # of its own, as this one may hold a lock of the store's client
        asking.start()
        asking.join(_ASKING)
        if cancelled.is_set():
            raise RunCancelled("the run was asked to stop")
        raise WorkerLost("The engine asked the worker to end, as it does when it needs the machine for something else.")


def _exit_code(outcome: Mapping[str, Any] | None) -> ExitCode:
    if outcome is None:
        return ExitCode.TRY_AGAIN
    return ExitCode.DONE if Status(outcome["status"]).is_success else ExitCode.FAILED
