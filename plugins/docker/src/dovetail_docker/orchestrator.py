"""Runs each step in a container, in the order that the run keeps."""

from __future__ import annotations

from dovetail.components import Orchestrator, RunControl
from dovetail.values.plan import Plan
from dovetail.values.settings import Resources
from dovetail_docker.containers import ContainerEngine
from dovetail_docker.engine import translated


class DockerOrchestrator(ContainerEngine, Orchestrator):
    """The submitting process, or with `--detach` a child of it, starts containers as their inputs become available."""

    def submit(self, plan: Plan, run: RunControl) -> None:
        run.drive(lambda task: task.run_by(self.start), slots=self.workers)

    def capacity(self) -> Resources | None:
        """What the engine's machine has; of GPUs it tells only once a container asks for one."""
        found: Resources | None = self.__dict__.get("_capacity")
        if found is None:
            try:
                with translated(self.host):
                    said = self.client().info()
            except ConnectionError:
                return None  # that the engine is away is what another check says
            found = self._capacity = Resources(cpu=said.get("NCPU") or None, memory=said.get("MemTotal") or None)
        return found
