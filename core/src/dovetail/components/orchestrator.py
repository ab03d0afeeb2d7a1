"""Runs a plan's steps somewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

from dovetail.components.job import Job, JobGraph, RunningJob
from dovetail.components.runner import Runner
from dovetail.values.plan import Plan
from dovetail.values.settings import Resources, Schedule


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

    def hand_over(self, start: Callable[[JobGraph], RunningJob]) -> None:
        """Have an engine run all that is left, as a graph of its own, and follow it until it has ended.

        Its jobs take their inputs from the ledger, so they go on when this process does not. `start` gives the graph of that
        name where there is one already.
        """


class Orchestrator(Runner):
    component_type: ClassVar[str] = "orchestrator"

    @abstractmethod
    def submit(self, plan: Plan, run: RunControl) -> None:
        """Run the plan's steps, or hand them to an engine that does; returns when that is done."""

    def capacity(self) -> Resources | None:
        """The most that one step may ask for; None where there is no limit to check."""
        return None


class GraphOrchestrator(Orchestrator):
    """One that hands a run to an engine with an order of its own: a graph of containers, which needs no submitter any more."""

    @abstractmethod
    def start(self, graph: JobGraph) -> RunningJob:
        """Start it. A graph of that name that there is already is given as it is: who asks again had lost the answer."""

    @abstractmethod
    def find(self, address: str) -> RunningJob:
        """What was started before, by its address, from whichever process."""

    def submit(self, plan: Plan, run: RunControl) -> None:
        run.hand_over(self.start)

    def schedule(self, name: str, schedule: Schedule, graph: JobGraph) -> str:
        """Have the engine's own clock start the graph; gives what the engine calls that. One of that name is replaced.

        For engines that state the capability `schedules`. The graph is of one job, which plans a run of its own each time.
        """
        raise NotImplementedError(f"{type(self).__name__} states no schedules")

    def schedule_problems(self, schedule: Schedule) -> list[str]:
        """What of it the engine's clock cannot keep, each a sentence with its cure; asked before anything is made."""
        return []

    def unschedule(self, address: str) -> None:
        """End it; no error when there is none."""
        raise NotImplementedError(f"{type(self).__name__} states no schedules")
