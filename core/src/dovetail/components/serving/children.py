"""What a process does that watches over servers: it hears of signals and ends in one place, and leaves no child behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from datetime import datetime, timezone

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)


def say(message: str) -> None:
    """To the log, which nobody is to fail for that is full."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} {message}\n")
        sys.stderr.flush()


class Signals:
    """Signals as something to wait for beside sockets. `reader` is readable when one has come; `take` says which."""

    def __init__(self, *numbers: int) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def take(self) -> set[int]:
        try:
            return set(self.reader.recv(4096))
        except BlockingIOError:
            return set()


def adopt_orphans() -> None:
    """What servers leave behind becomes this process's child, where the system can do that, so that it is found and reaped."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Told in the child, before it becomes a server; where the system cannot do that, nothing happens."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def reap() -> list[tuple[int, int]] | None:
    """Each child that has ended since, with its code: below 0 for a signal. None where there is no child at all any more."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found or None
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def signal_all(groups: set[int], number: int, *, orphans: bool = True) -> None:
    """Every process of the groups, and with `orphans` every child of this process."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for pid in _children() if orphans else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except (OSError, ValueError):
        return []
