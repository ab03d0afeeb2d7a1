"""A worker process on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from dovetail.errors import StepTimeout, WorkerLost
from dovetail.worker import BEGINNING

_GRACE = 3.0  # seconds between asking a worker to end and ending it
_BEGUN = b'{"begun": true}'


class WorkerProcess:
    """One spawned process that runs steps it is told of, one at a time, and answers with one line of JSON each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        answers, theirs = os.pipe()
        command = [sys.executable, "-m", "dovetail.execution", "--serve", str(theirs)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(theirs,), env=dict(environ))
        os.close(theirs)
        self._answers = answers
        self._buffer = b""

    def run(self, task: Mapping[str, Any], timeout: float | None, stop: Callable[[], bool]) -> dict[str, Any]:
        """Send a task and wait for its answer; `timeout` counts from when the step itself begins. Raises StepTimeout or WorkerLost when the process had to be, or was, ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerLost(self._death(task)) from None
        line = self._line(task, timeout, stop, BEGINNING)
        answer: dict[str, Any] = json.loads(line if line != _BEGUN else self._line(task, timeout, stop))
        return answer

    def _line(self, task: Mapping[str, Any], timeout: float | None, stop: Callable[[], bool], more: float = 0.0) -> bytes:
        deadline = time.monotonic() + timeout + more if timeout is not None else None
        while b"\n" not in self._buffer:
            self._await(task, deadline, timeout, stop)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _await(self, task: Mapping[str, Any], deadline: float | None, timeout: float | None, stop: Callable[[], bool]) -> None:
        readable, _, _ = select.select([self._answers], [], [], 0.1 if deadline is None else max(0.0, min(0.1, deadline - time.monotonic())))
        if readable:
            data = os.read(self._answers, 65536)
            if not data:
                raise WorkerLost(self._death(task))
            self._buffer += data
        elif stop():
            self.end()
        elif deadline is not None and time.monotonic() >= deadline:
            self.end()
            raise StepTimeout(f"Step '{task['invocation']}' ran longer than its timeout of {timeout:g} s and was ended. Give it more, or make it faster.")

    def _death(self, task: Mapping[str, Any]) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        cure = " It may have run out of memory." if code == -signal.SIGKILL else ""
        return f"The worker process of step '{task['invocation']}' ended with {how} before the step did.{cure}"

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def kill(self) -> int:
        """End it at once; who waits for its answer is told of its death. Gives its pid."""
        self._process.kill()
        return self._process.pid

    def close(self) -> None:
        """Let a worker go that no step waits for."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self.end()
        os.close(self._answers)
