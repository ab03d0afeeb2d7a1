"""The SageMaker orchestrator keeps the contract, on a service that carries out the definitions that it receives in containers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dovetail.components import ArtifactStore
from dovetail.testing import GraphOrchestratorContract
from dovetail_aws.sagemaker_orchestrator import SageMakerOrchestrator
from emulator import Emulator
from pipelines_service import PipelineService
from sagemaker_service import REGION, ROLE, serving


@pytest.fixture(scope="session")
def pipelines(s3: Emulator, role: str, engine: Any) -> Iterator[PipelineService]:
    from dovetail_docker.testing import mounted_sources

    with serving(PipelineService(s3.port, engine, mounted_sources())) as service:
        yield service  # type: ignore[misc]


class TestProcessingJobs(GraphOrchestratorContract):
    @pytest.fixture
    def store(self, make_store: Callable[..., Any], pipelines: PipelineService) -> ArtifactStore:
        return make_store(endpoint_url=pipelines.url, region=REGION, key=None, secret=None)

    @pytest.fixture
    def orchestrator(self, pipelines: PipelineService, job_image: str, monkeypatch: pytest.MonkeyPatch) -> SageMakerOrchestrator:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret-8f3a")
        return SageMakerOrchestrator(
            role=ROLE, endpoint_url=pipelines.url, region=REGION, image=job_image, python=f"{sys.prefix}/bin/python", poll=0.1
        ).called("sagemaker", "sagemaker")  # type: ignore[return-value]
