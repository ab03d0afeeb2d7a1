"""Runs a plan's steps somewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from dovetail.components.job import Job, RunningJob
from dovetail.components.runner import Runner
from dovetail.values.encoding import Json
from dovetail.values.plan import Plan
from dovetail.values.settings import Resources


class Task(Protocol):
    """One step whose inputs are there. Exactly one of the ways to run it is used, and it returns when the step has ended."""

    @property
    def invocation(self) -> str: ...

    @property
    def resources(self) -> Resources: ...

    @property
    def needs_process(self) -> bool:
        """Whether it must not share a process with another step that runs now."""

    def run_here(self) -> None:
        """Run it in the calling thread."""

    def run_in_process(self) -> None:
        """Run it in a warm worker process on this machine."""

    def run_by(self, start: Callable[[Job], RunningJob]) -> None:
        """Have an engine run its worker: one job for each attempt. `start` gives the job of that name where there is one already."""


class RunControl(Protocol):
    """What an orchestrator is given besides the plan: the run's order, retries, conditions and failure policy are kept here."""

    def drive(self, start: Callable[[Task], None], *, slots: int, capacity: Resources | None = None) -> None:
        """Call `start` for each step as its inputs become available, at most `slots` at once, until all have ended.

        `capacity`: what may be in use at once, summed over the running steps' resources. A lone step is started in the
        calling thread.
        """


class Orchestrator(Runner):
    component_type: ClassVar[str] = "orchestrator"

    @abstractmethod
    def submit(self, plan: Plan, run: RunControl) -> None:
        """Run the plan's steps, or hand them to an engine that does; returns when that is done."""

    def capacity(self) -> Resources | None:
        """The most that one step may ask for; None where there is no limit to check."""
        return None

    def alive(self, run: Mapping[str, Any]) -> bool | None:
        """Whether the engine still works on a run of that record; None when only the run's own lease can tell."""
        return None

    def cancel(self, run: Mapping[str, Any]) -> Json:
        """Stop an engine's job. Runs driven from a process see the record of the cancellation by themselves."""
        return None
