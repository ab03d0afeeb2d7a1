"""Runs single steps elsewhere than the orchestrator does."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from dovetail.components.component import Component
from dovetail.components.job import Job, RunningJob


class StepOperator(Component):
    """Steps with `step_operator=True` run here. `capabilities` say which of a step's settings it honours.

    `runs_images`: jobs run in container images, so steps need one.
    """

    component_type: ClassVar[str] = "step_operator"
    runs_images: ClassVar[bool] = True

    @abstractmethod
    def start(self, job: Job) -> RunningJob:
        """Start a worker. A job of that name that there is already is given as it is: who asks again had lost the answer."""
