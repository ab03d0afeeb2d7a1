"""Runs pipelines as pipelines of SageMaker."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from dovetail.components import Capability, GraphOrchestrator, JobGraph, RunningJob
from dovetail.errors import ConfigurationError
from dovetail.values.settings import Resources, Schedule
from dovetail_aws.connection import AwsConnection
from dovetail_aws.sagemaker_pipeline_options import SageMakerPipelineOptions

_CHECKING = {"attempts": 1, "connect_timeout": 3.0, "read_timeout": 4.0}  # as for the rest of the check


class SageMakerOrchestrator(SageMakerPipelineOptions, GraphOrchestrator):
    """Each step is a processing or training job of one execution, which needs no submitter any more."""

    capabilities: ClassVar[frozenset[Capability]] = SageMakerPipelineOptions.capabilities | {
        Capability.MAP, Capability.CONDITIONS, Capability.SCHEDULES
    }  # fmt: skip
    shows_variables: ClassVar[bool] = True

    def start(self, graph: JobGraph) -> RunningJob:
        from dovetail_aws.sagemaker_executions import started

        for job in graph.jobs:
            problem = next(_not_for_a_step(job.settings), None)
            if problem is not None:
                raise ConfigurationError(f"Job {job.name}: {problem}")
        return started(self, graph)

    def find(self, address: str) -> RunningJob:
        from dovetail_aws.sagemaker_executions import RunningExecution

        return RunningExecution(self, address)

    def schedule(self, name: str, schedule: Schedule, graph: JobGraph) -> str:
        from dovetail_aws.sagemaker_schedules import scheduled

        return scheduled(self, name, schedule, graph)

    def schedule_problems(self, schedule: Schedule) -> list[str]:
        from dovetail_aws.sagemaker_schedules import aws_cron

        try:
            aws_cron(schedule.cron)
        except ConfigurationError as error:
            return [str(error)]
        return []

    def unschedule(self, address: str) -> None:
        from dovetail_aws.sagemaker_schedules import unscheduled

        unscheduled(self, address)

    def ill_fitting(self, resources: Resources, settings: Mapping[str, Any]) -> list[str]:
        from dovetail_aws.sagemaker_instances import lacking, smallest

        refused = list(_not_for_a_step(settings))
        if refused:
            return refused
        try:
            own = self.with_settings(settings)
            if own.instance_type is None:
                smallest(resources, own.job_type)
                return []
        except ConfigurationError as error:
            return [str(error)]
        problem = lacking(own.instance_type, resources, own.job_type)
        return [problem] if problem is not None else []

    def check(self) -> list[str]:
        from dovetail_aws.sagemaker_checks import pipeline_problems, problems

        return list(problems(self.quickly())) or list(pipeline_problems(self.with_settings(_CHECKING)))


def _of_the_whole() -> frozenset[str]:
    """Settings that all steps of a pipeline share."""
    return frozenset({each.name for each in dataclasses.fields(AwsConnection)} | {"poll", "prefix", "parallel_steps", "schedule_role"})


def _not_for_a_step(settings: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(_of_the_whole() & set(settings)):
        yield f"`{name}` is the same for all steps of a pipeline. Set it for the orchestrator: `dovetail orchestrator update NAME --{name.replace('_', '-')} …`."
