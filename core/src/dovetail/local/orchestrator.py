"""Runs steps on this machine: in threads, and in warm worker processes where a step must not share one."""

from __future__ import annotations

import os
from typing import ClassVar

from dovetail.components import Capability, Orchestrator, RunControl, Task
from dovetail.values.plan import Plan
from dovetail.values.settings import Resources

_THREADS = 32


class LocalOrchestrator(Orchestrator):
    """`workers`: steps that may run at once, by default 4 more than there are cores. `processes`: every step gets a process.

    `cpu`, `memory`: what running steps may ask for together, by default what the machine has.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.PARALLEL,
            Capability.RESOURCES,
            Capability.RETRIES,
            Capability.TIMEOUTS,
            Capability.ENVIRONMENT_VARIABLES,
            Capability.MAP,
            Capability.CONDITIONS,
        }
    )

    workers: int | None = None
    processes: bool = False
    cpu: float | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError("workers is the number of steps that may run at once, 1 or more")

    def submit(self, plan: Plan, run: RunControl) -> None:
        run.drive(self._start, slots=self.workers or min(_THREADS, (os.cpu_count() or 1) + 4), capacity=self.capacity())

    def _start(self, task: Task) -> None:
        if self.processes or task.needs_process:
            task.run_in_process()
        else:
            task.run_here()

    def capacity(self) -> Resources:
        return Resources(cpu=self.cpu or os.cpu_count(), memory=self.memory or _machine_memory(), gpu=0)


def _machine_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
