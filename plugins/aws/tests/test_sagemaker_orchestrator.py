"""The SageMaker orchestrator keeps the contract, on a service that carries out the definitions that it receives in containers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import asking
from dovetail.components import ArtifactStore
from dovetail.testing import GraphOrchestratorContract
from dovetail.testing.trial import Trial, TrialProject
from dovetail.values.plan import Status
from dovetail.values.settings import Schedule
from dovetail_aws.sagemaker_orchestrator import SageMakerOrchestrator
from emulator import Emulator
from pipelines_service import PipelineService, knows_versions
from sagemaker_service import REGION, ROLE, serving

pytestmark = pytest.mark.skipif(not knows_versions(), reason="this botocore knows no versions of pipelines, which 1.40 does")


@pytest.fixture(scope="session")
def pipelines(s3: Emulator, role: str, engine: Any) -> Iterator[PipelineService]:
    from dovetail_docker.testing import mounted_sources

    with serving(PipelineService(s3.port, engine, mounted_sources())) as service:
        yield service  # type: ignore[misc]


class TestProcessingJobs(GraphOrchestratorContract):
    slow = True

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

    def test_a_machine_that_was_lost_is_replaced_as_often_as_the_step_is_retried(
        self, trial: Trial, project: TrialProject, pipelines: PipelineService
    ) -> None:
        pipelines.losing = 1
        run = trial.run(project.pipelines.retried, succeeds_at=1)
        assert run.status is Status.COMPLETED, run.error
        assert [step.attempts for step in pipelines.executions[run.engine_address or ""].steps] == [2, 1]

    def test_a_machine_that_was_lost_fails_a_step_without_retries(self, trial: Trial, project: TrialProject, pipelines: PipelineService) -> None:
        pipelines.losing = 1
        run = trial.run(project.pipelines.chain, length=2)
        assert run.status is Status.FAILED
        assert "InternalServerError" in (run.error or "")

    def test_no_more_jobs_run_at_once_than_are_to(self, orchestrator: SageMakerOrchestrator, store: ArtifactStore, project: TrialProject) -> None:
        run = project.on(orchestrator.with_settings({"parallel_steps": 1}), store).run(project.pipelines.at_once, seconds=2.0)
        assert [run.steps[name].output.load() for name in ("a", "b")] == [False, False]

    def test_what_the_clock_starts_is_a_run_of_its_own(self, trial: Trial, project: TrialProject, pipelines: PipelineService) -> None:
        address = trial.schedule(project.pipelines.diamond, Schedule(cron="0 3 * * *"))
        kept = asking("scheduler", pipelines.url).get_schedule(Name=address.rpartition("/")[2])["Target"]["Arn"]
        tick = asking("sagemaker", pipelines.url).start_pipeline_execution(
            PipelineName=kept.rpartition("/")[2], ClientRequestToken="0" * 32, PipelineExecutionDisplayName="tick"
        )["PipelineExecutionArn"]
        assert self._orchestrator(trial).find(tick).wait(150) == 0
        (run,) = trial.client.list_runs(pipeline="diamond")
        assert run.status is Status.COMPLETED, run.error
        assert "/dovetail-diamond/" in (run.engine_address or "").replace("pipeline/", "/")
        assert run.steps["left"].output.load() == 18
