"""Breaks a process at its N-th file operation below a folder: by an error, or by a kill.

Nothing of the product is changed for it: operations are seen through the interpreter's audit events.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.link": 1, "os.rename": 1, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.chmod": 0, "os.truncate": 0}
_SIGNALS = {"kill": signal.SIGKILL, "sigint": signal.SIGINT}
ERRORS = {"enospc": errno.ENOSPC, "eio": errno.EIO}


class Fault:
    """`mode`: kill, sigint, enospc, eio, or torn (a kill in the middle of a write). `number` counts from 1; `fired` tells what it hit."""

    def __init__(self, root: str, mode: str, number: int) -> None:
        self.root = os.path.join(os.path.abspath(root), "")
        self.mode = mode
        self.number = number
        self.seen = 0
        self.fired: str | None = None
        self.marker: str | None = None
        self._lock = threading.Lock()

    def install(self) -> None:
        if self.mode == "torn":
            write = os.write
            os.write = lambda descriptor, data: self._torn(write, descriptor, data)  # type: ignore[assignment]
        else:
            sys.addaudithook(self._heard)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        path = self._changed(event, args)
        if path is None or not path.startswith(self.root):
            return
        with self._lock:
            self.seen += 1
            hit = self.seen == self.number
        if hit:
            self._fire(event, path)

    def _changed(self, event: str, args: tuple[Any, ...]) -> str | None:
        if event == "open":
            path, _, flags = args
            return os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & _WRITES else None
        if event not in _CHANGES or isinstance(args[_CHANGES[event]], int):
            return None
        path = os.fsdecode(args[_CHANGES[event]])
        folder = args[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path) if isinstance(folder, int) and folder >= 0 else os.path.abspath(path)

    def _fire(self, event: str, path: str) -> None:
        self.fired = f"{event} {path[len(self.root) :]}"
        if self.marker:
            os.close(os.open(self.marker, os.O_CREAT | os.O_WRONLY))
        if self.mode in _SIGNALS:
            os.kill(os.getpid(), _SIGNALS[self.mode])
            return
        raise OSError(ERRORS[self.mode], os.strerror(ERRORS[self.mode]), path)

    def _torn(self, write: Any, descriptor: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(self.root):
            with self._lock:
                self.seen += 1
                hit = self.seen == self.number
            if hit:
                write(descriptor, bytes(data)[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        written: int = write(descriptor, data)
        return written


def install_from(environ: Any = os.environ) -> None:
    """For a process that the harness does not start itself: what `FAULT` says, as `mode:number:root`; it leaves `FAULT_FIRED`."""
    mode, number, root = environ["FAULT"].split(":", 2)
    fault = Fault(root, mode, int(number))
    fault.marker = environ["FAULT_FIRED"]
    fault.install()
