"""Runs single steps in containers, whatever the orchestrator does with the others."""

from __future__ import annotations

from dovetail.components import StepOperator
from dovetail_docker.containers import ContainerEngine


class DockerStepOperator(ContainerEngine, StepOperator):
    """One container for each attempt of a step with `step_operator=True`."""
