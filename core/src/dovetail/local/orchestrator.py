"""Runs steps on this machine: in threads, and in warm worker processes where a step must not share one."""

from __future__ import annotations

import os
from dataclasses import field
from typing import ClassVar

from dovetail.components import Capability, Orchestrator, RunControl, Task
from dovetail.values.plan import Plan
from dovetail.values.settings import Resources

_THREADS = 32


class LocalOrchestrator(Orchestrator):
    """A step that must not share a process, because of a timeout or of what it sets for its process, gets one in any case."""

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

    workers: int | None = field(default=None, metadata={"help": "Steps that may run at once; 4 more than there are cores when not set."})
    processes: bool = field(default=False, metadata={"help": "Give every step a process."})
    cpu: float | None = field(default=None, metadata={"help": "Cores that running steps may ask for together; the machine's when not set."})
    memory: int | None = field(default=None, metadata={"help": "Bytes that running steps may ask for together; the machine's when not set."})

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

    def separates(self) -> bool:
        return self.processes

    def capacity(self) -> Resources:
        return Resources(cpu=self.cpu or os.cpu_count(), memory=self.memory or _machine_memory(), gpu=0)


def _machine_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
