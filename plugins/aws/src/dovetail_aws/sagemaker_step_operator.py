"""Runs single steps as jobs of SageMaker."""

from __future__ import annotations

from dovetail.components import Job, RunningJob, StepOperator
from dovetail_aws.sagemaker_runner import SageMakerRunner


class SageMakerStepOperator(SageMakerRunner, StepOperator):
    """One processing or training job for each attempt of a step with `step_operator=True`."""

    def start(self, job: Job) -> RunningJob:
        from dovetail_aws.sagemaker_jobs import started

        return started(self.with_settings(job.settings), job)

    def check(self) -> list[str]:
        from dovetail_aws.sagemaker_checks import problems

        return list(problems(self.quickly()))
