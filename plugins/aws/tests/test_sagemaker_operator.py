"""The SageMaker step operator keeps the contract, with containers that an engine really runs as SageMaker would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.components import ArtifactStore
from dovetail.testing import StepOperatorContract
from dovetail_aws.sagemaker_step_operator import SageMakerStepOperator
from sagemaker_service import REGION, ROLE, SageMakerService


class _Contract(StepOperatorContract):
    job_type = "processing"

    @pytest.fixture
    def store(self, make_store: Callable[..., Any], running: SageMakerService) -> ArtifactStore:
        """Its workers have the credentials of their role alone."""
        return make_store(endpoint_url=running.url, region=REGION, key=None, secret=None)

    @pytest.fixture
    def operator(self, running: SageMakerService, job_image: str, monkeypatch: pytest.MonkeyPatch) -> SageMakerStepOperator:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret-8f3a")
        return SageMakerStepOperator(
            role=ROLE, endpoint_url=running.url, region=REGION, image=job_image, python=f"{sys.prefix}/bin/python", poll=0.1,
            job_type=self.job_type, output_path="s3://trial/jobs",
        ).called("sagemaker", "sagemaker")  # fmt: skip


class TestProcessingJobs(_Contract):
    pass


class TestTrainingJobs(_Contract):
    job_type = "training"
