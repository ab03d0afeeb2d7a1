"""What steps print and log, kept per step while it still reaches the screen."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, TextIO

from dovetail.execution.scope import current

RECORD = "%(levelname)s %(name)s: %(message)s"  # of a log record in a process whose logging nobody has set up

_lock = threading.Lock()
_users = 0
_before: tuple[TextIO, TextIO] | None = None
_handler: logging.Handler | None = None


class Tee:
    """A text stream that passes everything on and gives the running step a copy."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        scope = current()
        if scope is not None and text:
            scope.log.append(text)
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Records(logging.Handler):
    """Copies log records to the running step where no stream of the root logger would."""

    def emit(self, record: logging.LogRecord) -> None:
        scope = current()
        others = [handler for handler in logging.getLogger().handlers if handler is not self]
        if scope is not None and not any(isinstance(getattr(handler, "stream", None), Tee) for handler in others):
            scope.log.append(self.format(record) + "\n")
        if not others and record.levelno >= logging.WARNING and not isinstance(sys.stderr, Tee):
            print(self.format(record), file=sys.stderr)
        elif not others and record.levelno >= logging.WARNING:
            print(self.format(record), file=getattr(sys.stderr, "_stream", sys.__stderr__))


class capturing:  # noqa: N801  # reads as a sentence: with capturing()
    """Copies of what is printed and logged go to the running steps until the last such block ends."""

    def __enter__(self) -> None:
        global _users, _before, _handler  # noqa: PLW0603  # the process has one stdout
        with _lock:
            _users += 1
            if _users == 1:
                _before = (sys.stdout, sys.stderr)
                sys.stdout, sys.stderr = Tee(sys.stdout), Tee(sys.stderr)
                _handler = _Records()
                _handler.setFormatter(logging.Formatter(RECORD))
                logging.getLogger().addHandler(_handler)

    def __exit__(self, *_: object) -> None:
        global _users  # noqa: PLW0603  # the process has one stdout
        with _lock:
            _users -= 1
            if _users == 0 and _before is not None and _handler is not None:
                logging.getLogger().removeHandler(_handler)
                if isinstance(sys.stdout, Tee):
                    sys.stdout = _before[0]
                if isinstance(sys.stderr, Tee):
                    sys.stderr = _before[1]
