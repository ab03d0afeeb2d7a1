"""Runs each step in a container, in the order that the run keeps."""

from __future__ import annotations

import contextlib

from dovetail.components import Orchestrator, RunControl
from dovetail.values.plan import Plan
from dovetail.values.settings import Resources
from dovetail_docker.containers import ContainerEngine
from dovetail_docker.engine import translated


class DockerOrchestrator(ContainerEngine, Orchestrator):
    """The submitting process, or with `--detach` a child of it, starts containers as their inputs become available."""

    def submit(self, plan: Plan, run: RunControl) -> None:
        try:
            run.drive(lambda task: task.run_by(self.start), slots=self.workers, capacity=self.capacity())
        finally:
            if not self.keep:
                self._remove(plan)

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

    def _remove(self, plan: Plan) -> None:
        """Containers that are left: of steps that ended while the engine was away, and of a submitter that was killed."""
        from docker.errors import DockerException

        with contextlib.suppress(ConnectionError, DockerException), translated(self.host):
            for run_id in filter(None, (plan.run_id, plan.resumes)):
                for found in self.client().containers.list(all=True, ignore_removed=True, filters={"label": f"dovetail.run={run_id}"}):
                    if found.status in ("created", "exited", "dead"):
                        found.remove(force=True)
