"""What code does to the world around it while it should only declare."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from typing import Any

_WRITES = {"w", "a", "x", "+"}
_EVENTS = {
    "os.mkdir": "makes the folder {0}",
    "os.remove": "removes {0}",
    "os.rename": "renames {0}",
    "os.chdir": "goes to the folder {0}",
    "os.system": "runs {0}",
    "subprocess.Popen": "starts {0}",
    "socket.connect": "connects to {1}",
}


class Deeds:
    """What is done inside the block, in words, in `told`; nothing is kept from being done. Compiled modules do not count."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._listening = False
        sys.addaudithook(self._heard)

    def __enter__(self) -> None:
        self._before = dict(os.environ), set(threading.enumerate()), list(logging.getLogger().handlers)
        self._printed = io.StringIO()
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(contextlib.redirect_stdout(self._printed))
        self._listening = True

    def __exit__(self, *_: object) -> None:
        self._listening = False
        self._undo.close()
        variables, threads, handlers = self._before
        changed = sorted(name for name in {*variables, *os.environ} if variables.get(name) != os.environ.get(name))
        self.told += [f"sets the variable {name}" for name in changed]
        self.told += [f"starts the thread {thread.name}" for thread in threading.enumerate() if thread not in threads]
        if logging.getLogger().handlers != handlers:
            self.told.append("sets up logging")
        if self._printed.getvalue():
            self.told.append(f"prints {self._printed.getvalue()!r}")

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._listening or "__pycache__" in str(args[:1]):
            return
        if event == "open" and isinstance(args[1], str) and set(args[1]) & _WRITES:
            self.told.append(f"writes {args[0]}")
        elif event in _EVENTS:
            self.told.append(_EVENTS[event].format(*args))
