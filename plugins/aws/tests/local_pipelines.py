"""Runs definitions of pipelines by SageMaker's own local mode, in containers: `python local_pipelines.py`, one to each line of standard input.

It is a process of its own, as the SDK sets up logging, reads configuration and warns when it is imported. Each change of a step is a
line of JSON on standard output, and the end of each pipeline too.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

CONFIGURATION = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"  # else it reports to a bucket of Amazon's


def main() -> None:
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed is not for who reads the lines
    from sagemaker.local import entities, image

    def tell(**facts: Any) -> None:
        print(json.dumps(facts), file=lines, flush=True)

    class Noted(entities._LocalPipelineExecution):
        def mark_step_executing(self, step_name: str) -> None:
            tell(step=step_name, status="Executing")
            super().mark_step_executing(step_name)

        def update_step_properties(self, step_name: str, step_properties: Any) -> None:
            tell(step=step_name, status="Succeeded")
            super().update_step_properties(step_name, step_properties)

        def update_step_failure(self, step_name: str, failure_message: str) -> None:
            tell(step=step_name, status="Failed", failure=failure_message)
            super().update_step_failure(step_name, failure_message)

    entities._LocalPipelineExecution = Noted
    create = image._SageMakerContainer._create_docker_host
    for line in sys.stdin:
        told = json.loads(line)
        image._SageMakerContainer._create_docker_host = _on_this_network(create, told)
        try:
            tell(ended=_ran(told))
        except Exception as error:
            tell(ended="Failed", why=f"{type(error).__name__}: {error}")


def _ran(told: Mapping[str, Any]) -> str:
    """What it ended as."""
    import boto3
    from sagemaker.workflow.pipeline import Pipeline
    from sagemaker.workflow.pipeline_context import LocalPipelineSession

    session = LocalPipelineSession(boto_session=boto3.Session(), default_bucket=told["bucket"])
    pipeline = Pipeline(name="received", steps=steps_of(told["definition"]), sagemaker_session=session, pipeline_experiment_config=None)
    assert json.loads(pipeline.definition()) == told["definition"], "the SDK would have written another definition"
    pipeline.create(role_arn=told["role"])
    return str(pipeline.start().describe()["PipelineExecutionStatus"])


def steps_of(definition: Mapping[str, Any]) -> list[Any]:
    """The SDK's own steps, of what was received."""
    from sagemaker.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
    from sagemaker.workflow.steps import ConfigurableRetryStep, StepTypeEnum

    kinds = {kind.value: kind for kind in SageMakerJobExceptionTypeEnum}  # calling it gives the first of them

    class Received(ConfigurableRetryStep):
        def __init__(self, told: Mapping[str, Any]) -> None:
            policies = [
                SageMakerJobStepRetryPolicy(
                    exception_types=[kinds[each] for each in policy["ExceptionType"]],
                    interval_seconds=policy["IntervalSeconds"], backoff_rate=policy["BackoffRate"], max_attempts=policy["MaxAttempts"],
                )
                for policy in told.get("RetryPolicies", ())
            ]  # fmt: skip
            super().__init__(told["Name"], StepTypeEnum(told["Type"]), told["DisplayName"], None, list(told.get("DependsOn", ())), policies)
            self._told = told["Arguments"]

        @property
        def arguments(self) -> Any:
            return self._told

        @property
        def properties(self) -> Any:
            return None

    return [Received(step) for step in definition["Steps"]]


def _on_this_network(made: Any, told: Mapping[str, Any]) -> Any:
    """Containers share this machine's network, where the services that are tried listen on loopback, and have what they need mounted."""

    def create(self: Any, *given: Any, **named: Any) -> dict[str, Any]:
        host = dict(made(self, *given, **named))
        host.pop("networks", None)
        more = [f"{name}={value}" for name, value in told["environment"].items()]
        return {**host, "network_mode": "host", "volumes": [*host["volumes"], *told["volumes"]], "environment": [*host["environment"], *more]}

    return create


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
