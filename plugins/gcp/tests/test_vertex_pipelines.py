"""The Vertex orchestrator keeps the contract: the pipelines that the service receives are carried out by Kubeflow's local runner, with a bucket between."""

from __future__ import annotations

import importlib.util
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google_fake import GoogleFake
from pipelines_fake import KfpRunner, PipelinesFake
from storage_emulator import Emulator, emulator
from vertex_engine import configuration, pipelines_on

from dovetail.components import ArtifactStore, GraphOrchestrator
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing import GraphOrchestratorContract
from dovetail.testing.run_record import described
from dovetail.testing.trial import TrialProject, isolate, project_in
from dovetail.values.plan import Status
from dovetail.values.settings import Schedule
from dovetail_docker.testing import DockerEngine
from dovetail_gcp.artifact_store import GcsArtifactStore
from dovetail_gcp.vertex_orchestrator import VertexOrchestrator

pytestmark = pytest.mark.skipif(importlib.util.find_spec("kfp") is None, reason="kfp is not installed")
_ENDS_WITHIN = 90.0


@pytest.fixture(scope="module")
def bucket() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def runner(engine: DockerEngine) -> Iterator[KfpRunner]:
    with KfpRunner(engine.host) as running:
        yield running


@pytest.fixture
def pipelines(google: GoogleFake, runner: KfpRunner, engine: DockerEngine, mounted: list[str]) -> Iterator[PipelinesFake]:
    with pipelines_on(engine, runner, google, mounted) as fake:
        yield fake


@pytest.fixture
def store(bucket: Emulator) -> ArtifactStore:
    return GcsArtifactStore(path=f"gs://trial/{uuid.uuid4().hex}", endpoint_url=bucket.url)


class TestVertexOrchestrator(GraphOrchestratorContract):
    slow = True

    @pytest.fixture
    def orchestrator(self, pipelines: PipelinesFake, python_image: str) -> VertexOrchestrator:
        return VertexOrchestrator(**configuration(pipelines, python_image))

    @pytest.fixture
    def store(self, store: ArtifactStore) -> ArtifactStore:
        return store


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made


def test_kubeflows_own_runner_makes_of_the_very_pipeline_what_the_local_orchestrator_does(
    google: GoogleFake, engine: DockerEngine, mounted: list[str], python_image: str, store: ArtifactStore, project: TrialProject, tmp_path: Path
) -> None:
    reference = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "reference"))
    with KfpRunner(engine.host, order="kfp") as runner, pipelines_on(engine, runner, google, mounted) as fake:
        trial = project.on(VertexOrchestrator(**configuration(fake, python_image)), store)
        for name in ("diamond", "broken"):
            pipeline = getattr(project.pipelines, name)
            assert described(trial.run(pipeline)) == described(reference.run(pipeline)), name


def test_a_task_that_died_is_told_of_with_its_last_words(
    pipelines: PipelinesFake, python_image: str, store: ArtifactStore, project: TrialProject
) -> None:
    trial = project.on(VertexOrchestrator(**{**configuration(pipelines, python_image), "python": "/bin/sh"}), store)
    error = str(trial.run(project.pipelines.chain, length=1).error)
    assert "The DAG failed because some tasks failed" in error
    assert "It said last:\n/bin/sh: " in error


def test_each_time_that_its_clock_says_so_a_schedule_makes_a_run(pipelines: PipelinesFake, python_image: str, store: ArtifactStore, project: TrialProject) -> None:
    orchestrator: GraphOrchestrator = VertexOrchestrator(**configuration(pipelines, python_image))
    trial = project.on(orchestrator, store)
    address = trial.schedule(project.pipelines.diamond, Schedule(cron="0 3 * * *"))
    started = orchestrator.find(pipelines.run_schedule(address)["name"])
    assert _ended(started) == 0, started.explain()
    [run] = trial.client.list_runs()
    assert (run.status, run.steps["left"].output.load()) == (Status.COMPLETED, 18), run.error


def _ended(running: Any) -> int:
    until = time.monotonic() + _ENDS_WITHIN
    while (code := running.wait(1.0)) is None:
        assert time.monotonic() < until
    return int(code)

