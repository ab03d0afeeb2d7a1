"""A pipeline on the default stack, and schedulers with a clock that the test sets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail import Client, Schedule
from dovetail.execution import scheduling
from dovetail.execution.running import begin
from dovetail.execution.scheduled import _made_ready
from dovetail.execution.scheduler import Scheduler
from dovetail.ledger.ticks import Ticks
from dovetail.planning.workspace import Workspace

FLOW = """
    import time
    from pathlib import Path
    from dovetail import get_step_context, pipeline, step

    @step(enable_cache=False)
    def said(place: str, seconds: float) -> str:
        Path(place).mkdir(exist_ok=True)
        moment = get_step_context().scheduled_for
        with Path(place, get_step_context().run_id).open("a") as file:
            file.write("ran once\\n")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.05)
        return str(moment)

    @pipeline
    def p(place: str, seconds: float = 0.0):
        said(place, seconds)
"""


def at(text: str) -> float:
    """`2026-03-01 03:00`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Started:
    """A run in no process: it begins at once, and ends when the test says so."""

    run_id: str
    process: None = None

    def code(self) -> int | None:
        return None

    def said(self) -> str:
        return "it broke"

    def forget(self, *, keep: bool) -> None:
        """There is no log."""


@dataclass
class Place:
    """One store with the schedule of pipeline `p`; its schedulers make runs of no steps, by `starts`."""

    workspace: Workspace
    clock: Clock
    said: list[str] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    begins: bool = True
    code: int | None = None

    def scheduler(self, clock: Clock | None = None) -> Scheduler:
        return Scheduler(self.workspace, lambda name, text: self.said.append(f"{name}: {text}"), clock or self.clock, self.start)

    def start(self, workspace: Workspace, path: str, due: float, run_id: str) -> Any:
        self.started.append(due)
        child = Started(run_id)
        if self.code is not None:
            child.code = lambda: self.code  # type: ignore[method-assign]
        if self.begins:
            self.begin(path, due)
        return child

    def begin(self, path: str, due: float) -> bool:
        ledger = self.workspace.ledger
        record, claim = ledger.records.get(path), Ticks(ledger.records, "p").find(due)
        assert claim is not None
        plan, workspace = _made_ready(record, claim, ledger)
        return begin(plan, workspace)

    def end(self, run_id: str) -> None:
        records = self.workspace.ledger.run(run_id)
        header = records.header()
        assert header is not None
        records.finish({**header, "status": "completed", "ended": self.clock.now, "steps": {}})

    def end_all(self) -> None:
        for claim in self.ticks.newest():
            if "run" in claim:
                self.end(claim["run"])

    def at(self, text: str) -> float:
        return at(text)

    def another_clock(self) -> Clock:
        return Clock(self.clock.now)

    @property
    def ticks(self) -> Ticks:
        return Ticks(self.workspace.ledger.records, "p")

    def looks(self, scheduler: Scheduler, *moments: str) -> None:
        for moment in moments:
            self.clock.now = at(moment)
            scheduler.look()

    def ran(self) -> list[str]:
        """The ticks that have runs, oldest first."""
        return [words(claim["due"]) for claim in reversed(list(self.ticks.newest())) if "run" in claim]

    def skipped(self) -> dict[str, str]:
        return {words(claim["due"]): claim["why"] for claim in reversed(list(self.ticks.newest())) if "why" in claim}


def words(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%m-%d %H:%M")


@pytest.fixture
def scheduled(make_module: Callable[..., Any], isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    """Schedules the pipeline, at a moment that the test says, and gives the place."""

    def make(schedule: Schedule, moment: str, *, source: str = FLOW, **parameters: Any) -> Place:
        clock = Clock(at(moment))
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))  # runs begun here import from what the schedule kept
        monkeypatch.setattr(scheduling, "time", SimpleNamespace(time=clock))
        make_module(source).p.schedule(schedule, str(isolated / "ran"), **parameters)
        return Place(Client().workspace, clock)

    return make
