"""Runs each step in a container, in the order that the run keeps."""

from __future__ import annotations

from dovetail.components import Orchestrator, RunControl
from dovetail.values.plan import Plan
from dovetail_docker.containers import ContainerEngine


class DockerOrchestrator(ContainerEngine, Orchestrator):
    """The submitting process, or with `--detach` a child of it, starts containers as their inputs become available."""

    def submit(self, plan: Plan, run: RunControl) -> None:
        run.drive(lambda task: task.run_by(self.start), slots=self.workers)
