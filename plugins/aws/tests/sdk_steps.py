"""The same two steps as SageMaker's own SDK writes them: `python sdk_steps.py`, with what they are of on standard input."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    told = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import boto3
    from sagemaker.estimator import Estimator
    from sagemaker.network import NetworkConfig
    from sagemaker.processing import Processor
    from sagemaker.workflow.pipeline import Pipeline
    from sagemaker.workflow.pipeline_context import PipelineSession
    from sagemaker.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
    from sagemaker.workflow.steps import ProcessingStep, TrainingStep

    session = PipelineSession(boto_session=boto3.Session(), default_bucket="trial")
    shared: dict[str, Any] = {
        "role": told["role"], "image_uri": told["image"], "instance_count": 1, "instance_type": "ml.m5.xlarge", "sagemaker_session": session,
        "volume_kms_key": told["key"], "tags": told["tags"],
    }  # fmt: skip
    network = {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"]}
    processor = Processor(
        **shared, entrypoint=told["entrypoint"], volume_size_in_gb=77, max_runtime_in_seconds=600, env={"A": "b"},
        network_config=NetworkConfig(**network),
    )  # fmt: skip
    estimator = Estimator(
        **shared, **network, container_entry_point=told["entrypoint"], container_arguments=told["arguments"], volume_size=77, max_run=600, max_wait=660,
        use_spot_instances=True, environment={"A": "b"}, output_path="s3://bucket/out", output_kms_key=told["key"], training_repository_access_mode="Vpc",
    )  # fmt: skip
    warm = Estimator(**shared, container_entry_point=told["entrypoint"], keep_alive_period_in_seconds=900, output_path="s3://bucket/out")
    lost = SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
        failure_reason_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR, SageMakerJobExceptionTypeEnum.CAPACITY_ERROR],
        interval_seconds=30, backoff_rate=2.0, max_attempts=2,
    )  # fmt: skip
    steps = [
        ProcessingStep(name="one", step_args=processor.run(arguments=told["arguments"], wait=False), display_name="One", retry_policies=[lost]),
        TrainingStep(name="two", step_args=estimator.fit(wait=False), display_name="Two", depends_on=["one"]),
        TrainingStep(name="three", step_args=warm.fit(wait=False), display_name="Three", depends_on=["one", "two"]),
    ]
    print(Pipeline(name="p", steps=steps, sagemaker_session=session, pipeline_experiment_config=None).definition(), file=answer)


if __name__ == "__main__":
    main()
