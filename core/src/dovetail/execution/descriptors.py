"""What reaches a worker's descriptors 1 and 2, by any library or program, kept for its step while it still reaches the screen."""

from __future__ import annotations

import codecs
import logging
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dovetail.execution.capture import RECORD
from dovetail.execution.scope import StepScope
from dovetail.stack.references import redact

_LINGERING = 0.2  # seconds between looks whether the step has ended, where another program holds its output open


@contextmanager
def descriptors_kept(scope: StepScope) -> Iterator[None]:
    """All output of the process is the scope's until the block ends, and then it is there."""
    sys.stdout.flush()
    sys.stderr.flush()
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(RECORD))  # as in the log of a step that has no process of its own
    kept = [_Descriptor(number, scope) for number in (1, 2)]
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in kept:
            descriptor.put_back()


class _Descriptor:
    """A pipe in a descriptor's place, and a thread that passes on what comes through it."""

    def __init__(self, number: int, scope: StepScope) -> None:
        self._number = number
        self._scope = scope
        self._screen = os.dup(number)
        self._read, write = os.pipe()
        os.dup2(write, number)
        os.close(write)
        self._ending = threading.Event()
        self._drained = threading.Event()
        threading.Thread(target=self._forward, daemon=True, name=f"dovetail-descriptor-{number}").start()

    def put_back(self) -> None:
        """A program that the step left running may go on writing; from now on that only reaches the screen."""
        os.dup2(self._screen, self._number)
        self._ending.set()
        self._drained.wait()

    def _forward(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        while True:
            if not select.select([self._read], [], [], None if self._drained.is_set() else _LINGERING)[0]:
                if self._ending.is_set():
                    self._drained.set()
                continue
            data = os.read(self._read, 65536)
            text = decode(data, final=not data)
            if not self._drained.is_set():
                self._scope.log.append(text)
            if not data:
                break
            self._show(data, text)
        self._drained.set()
        os.close(self._read)
        os.close(self._screen)

    def _show(self, data: bytes, text: str) -> None:
        """On the screen; elsewhere that is the engine's log, in which secrets are hidden as in the step's own."""
        stack = self._scope.workspace.stack
        os.write(self._screen, redact(text, stack.secrets()).encode("utf-8", "replace") if stack.elsewhere else data)
