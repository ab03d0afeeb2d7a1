"""What a person sees while a run goes: a live table on a terminal, a line per event elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dovetail.execution.driver import Listener
from dovetail.values.amounts import seconds_in_words
from dovetail.values.plan import Plan

_MARKS = {"completed": "done", "cached": "cached", "failed": "FAILED", "skipped": "skipped", "cancelled": "cancelled", "interrupted": "interrupted"}
_SHOWN_AFTER = 0.3  # seconds: a shorter run needs no live line
_REFRESH = 0.1


@contextmanager
def printed(plan: Plan, *, quiet: bool) -> Iterator[Listener]:
    """A listener that prints to standard error. `DOVETAIL_QUIET=1` is as good as `quiet`."""
    if quiet or os.environ.get("DOVETAIL_QUIET"):
        yield lambda event, facts: None
        return
    stream = sys.stderr
    lines = _Lines(plan, stream, live=bool(getattr(stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb")
    try:
        yield lines
    finally:
        lines.close()


def tell(text: str, *, quiet: bool) -> None:
    """Say one line, where progress would be shown."""
    if not quiet and not os.environ.get("DOVETAIL_QUIET"):
        print(text, file=sys.stderr)


class _Lines:
    """A line for each step that ends; on a terminal also one line, redrawn, of what runs now."""

    def __init__(self, plan: Plan, stream: Any, *, live: bool) -> None:
        self._plan = plan
        self._stream = stream
        self._live = live
        self._width = max([len(step.invocation) for step in plan.steps] + [4])
        self._running: dict[str, float] = {}
        self._done = 0
        self._begun = time.monotonic()
        self._drawn = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        if live:
            threading.Thread(target=self._redraw, daemon=True, name="dovetail-progress").start()

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        with self._lock:
            if event == "dovetail_step_started":
                self._running[facts["step"]] = time.monotonic()
            elif event == "dovetail_step_finished":
                self._running.pop(facts["step"], None)
                self._done += 1
                self._line(self._finished(facts))
            elif event == "dovetail_step_retried":
                self._line(f"  {facts['step']:<{self._width}}  again     attempt {facts['attempt']} follows; {facts['error']}")
            elif event == "dovetail_run_started":
                self._line(f"{facts['name']} on stack '{facts['stack']}', {len(self._plan.steps)} step{'' if len(self._plan.steps) == 1 else 's'}")
            elif event == "dovetail_run_finished":
                self._line(f"{facts['name']} {facts['status']} in {seconds_in_words(facts['seconds'])}")

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._erase()

    def _finished(self, facts: Mapping[str, Any]) -> str:
        mark = _MARKS.get(facts["status"], facts["status"])
        took = seconds_in_words(facts["seconds"]) if facts["status"] in ("completed", "failed") else ""
        said = facts.get("error") or facts.get("why") or ""
        return f"  {facts['step']:<{self._width}}  {mark:<9} {took:>8}  {said}".rstrip()

    def _line(self, text: str) -> None:
        self._erase()
        print(text, file=self._stream)

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[2K")
            self._drawn = False

    def _redraw(self) -> None:
        while not self._closed.wait(_REFRESH):
            with self._lock:
                now = time.monotonic()
                if now - self._begun > _SHOWN_AFTER and self._running and not self._closed.is_set():
                    running = ", ".join(f"{name} {now - since:.0f}s" for name, since in list(self._running.items())[:4])
                    self._stream.write(f"\r\x1b[2K  {self._done}/{len(self._plan.steps)} done, running: {running}"[:160])
                    self._stream.flush()
                    self._drawn = True
