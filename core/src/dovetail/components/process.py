"""A job that is a process of this machine."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
from typing import IO

from dovetail.components.job import RunningJob

_GRACE = 3.0  # seconds between asking a process to end and ending it; less than a run waits for steps that it asked to stop
_SHOWN = 2000  # characters of what it said


class RunningProcess(RunningJob):
    """`process`: started in a session of its own. `said`: the file that it prints to, if that is to be explained by."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes] | None = None) -> None:
        self.process = process
        self._said = said

    @property
    def address(self) -> str:
        return f"process {self.process.pid} on {os.uname().nodename}"

    def wait(self, seconds: float) -> int | None:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        atexit.register(self._kill)  # a program that is stopped itself does not wait for this thread
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        self._kill()
        atexit.unregister(self._kill)
        self.process.wait()

    def _kill(self) -> None:
        """With what the step started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def explain(self) -> str:
        if self._said is None:
            return ""
        file = self._said.fileno()  # the process writes at the same position, so this one does not move it
        said = os.pread(file, _SHOWN, max(0, os.fstat(file).st_size - _SHOWN)).decode("utf-8", "replace").strip()
        return f"It said last:\n{said}" if said else ""

    def close(self) -> None:
        if self._said is not None:
            self._said.close()
