"""Runs single steps elsewhere than the orchestrator does."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from dovetail.components.job import Job, RunningJob
from dovetail.components.runner import Runner


class StepOperator(Runner):
    """Steps with `step_operator=True` run here, and their settings are for it to honour."""

    component_type: ClassVar[str] = "step_operator"

    @abstractmethod
    def start(self, job: Job) -> RunningJob:
        """Start a worker. A job of that name that there is already is given as it is: who asks again had lost the answer."""

    def shares_folders(self) -> bool:
        return False
