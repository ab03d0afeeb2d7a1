"""The very definition that SageMaker received is what SageMaker's own local mode runs, and comes to the run that the local orchestrator makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import ArtifactStore, Job, JobGraph
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.run_record import described
from dovetail.testing.trial import Trial, TrialProject, isolate, project_in
from dovetail.values.plan import Status
from dovetail_aws.sagemaker_orchestrator import SageMakerOrchestrator
from dovetail_aws.sagemaker_pipeline import definition_of
from emulator import Emulator
from local_pipelines import CONFIGURATION
from local_mode_service import LocalModeService, missing
from pipelines_service import knows_versions
from sagemaker_service import ACCOUNT, REGION, ROLE, serving

pytestmark = pytest.mark.skipif(not knows_versions(), reason="this botocore knows no versions of pipelines, which 1.40 does")

LONG = pytest.mark.skipif("DOVETAIL_LONG_TESTS" not in os.environ, reason="one of those that are tried with DOVETAIL_LONG_TESTS=1")


@pytest.fixture(scope="module")
def local_mode(s3: Emulator, role: str, engine: Any) -> Iterator[LocalModeService]:
    from dovetail_docker.testing import mounted_sources

    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with serving(LocalModeService(s3.port, engine, mounted_sources())) as service:
        yield service  # type: ignore[misc]


@pytest.fixture
def orchestrator(local_mode: LocalModeService, job_image: str, monkeypatch: pytest.MonkeyPatch) -> SageMakerOrchestrator:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret-8f3a")
    return SageMakerOrchestrator(
        role=ROLE, endpoint_url=local_mode.url, region=REGION, image=job_image, python=f"{sys.prefix}/bin/python", poll=0.1
    ).called("sagemaker", "sagemaker")  # type: ignore[return-value]


@pytest.fixture
def store(make_store: Callable[..., Any], local_mode: LocalModeService) -> ArtifactStore:
    made: ArtifactStore = make_store(endpoint_url=local_mode.url, region=REGION, key=None, secret=None)
    return made


@pytest.fixture
def trials(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as project:
        yield project


@pytest.fixture
def trial(trials: TrialProject, orchestrator: SageMakerOrchestrator, store: ArtifactStore) -> Trial:
    return trials.on(orchestrator, store)


def test_a_pipeline_comes_to_the_run_that_it_is_locally(trial: Trial, trials: TrialProject, tmp_path: Any, local_mode: LocalModeService) -> None:
    run = trial.run(trials.pipelines.diamond)
    assert run.status is Status.COMPLETED, run.error
    reference = trials.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "reference")).run(trials.pipelines.diamond)
    assert described(run) == described(reference)
    assert {name: step.output.digest for name, step in run.steps.items() if len(step.outputs) == 1} == {
        name: step.output.digest for name, step in reference.steps.items() if len(step.outputs) == 1
    }
    execution = local_mode.executions[run.engine_address or ""]
    assert {step.status for step in execution.steps} == {"Succeeded"}
    assert execution.definition == local_mode.sent("CreatePipeline")["PipelineDefinition"]


def test_a_failure_stops_what_waits_for_it(trial: Trial, trials: TrialProject, orchestrator: SageMakerOrchestrator) -> None:
    run = trial.run(trials.pipelines.broken)
    assert {name: step.status for name, step in run.steps.items()} == {
        "before": Status.COMPLETED, "failing": Status.FAILED, "behind": Status.SKIPPED, "further_behind": Status.SKIPPED,
    }  # fmt: skip
    running = orchestrator.find(run.engine_address or "")
    assert running.wait(60) == 1
    assert "failing" in running.explain()


@LONG
def test_what_does_not_depend_on_a_failure_goes_on_where_it_is_to(trial: Trial, trials: TrialProject) -> None:
    """Local mode starts nothing after a failed job, so this one must not fail there."""
    run = trial.run(trials.pipelines.beside.with_options(failure_policy="continue"), seconds=0.1)
    assert run.status is Status.FAILED
    assert run.steps["after_slow"].status is Status.COMPLETED


@LONG
def test_a_step_is_retried_in_its_job(trial: Trial, trials: TrialProject) -> None:
    run = trial.run(trials.pipelines.retried, succeeds_at=2)
    assert run.status is Status.COMPLETED, run.error
    assert (run.steps["flaky"].attempts, run.steps["flaky"].output.load()) == (2, 2)


@LONG
def test_a_run_that_is_cancelled_stops_its_execution(trial: Trial, trials: TrialProject, local_mode: LocalModeService) -> None:
    def stop(event: str, facts: Mapping[str, Any]) -> None:
        if event == "dovetail_step_started":
            trial.client.cancel(facts["run"])

    runs: list[Any] = []
    thread = threading.Thread(target=lambda: runs.append(trial.run(trials.pipelines.long, stop)), daemon=True)
    thread.start()
    thread.join(150)
    assert runs and runs[0].status is Status.CANCELLED
    assert local_mode.executions[runs[0].engine_address].status in ("Stopping", "Stopped", "Failed")
    assert json.loads(local_mode.executions[runs[0].engine_address].definition)["Steps"][1]["DependsOn"]


def test_the_sdk_writes_the_same_steps(s3: Emulator, role: str, tmp_path: Path) -> None:
    """All that a definition says is said by the SDK in the same words, for the same jobs."""
    if missing() is not None:
        pytest.skip(str(missing()))
    network = {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"]}
    machine = {"instance_type": "ml.m5.xlarge", "volume_kms_key": "key-0"}
    large = {**machine, **network, "volume_gb": 77, "variables": {"A": "b"}, "max_runtime": 600}
    training = {"job_type": "training", "output_path": "s3://bucket/out"}
    spot = {**large, **training, "spot": True, "spot_wait": 60, "output_kms_key": "key-0", "private_registry": True}
    jobs = [
        Job("one", ["x", "y"], settings=large, labels={"dovetail.step": "One"}, retries=2),
        Job("two", ["x", "y"], settings=spot, labels={"dovetail.step": "Two"}, after=["one"]),
        Job("three", ["x", "y"], settings={**machine, **training, "keep_alive": 900}, labels={"dovetail.step": "Three"}, after=["one", "two"]),
    ]
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/dovetail:1"
    ours = definition_of(SageMakerOrchestrator(role=ROLE, region=REGION, image=image, tags={"team": "fraud"}), JobGraph("g", "p", "r", jobs))
    for step in ours["Steps"]:
        step["Arguments"]["Tags"] = [each for each in step["Arguments"]["Tags"] if each["Key"] == "team"]
    ours["Steps"][0]["Arguments"]["AppSpecification"]["ContainerArguments"] = ["x", "y"]
    told = {"role": ROLE, "image": image, "key": "key-0", "tags": [{"Key": "team", "Value": "fraud"}], "arguments": ["x", "y"]}
    theirs = as_the_sdk_writes({**told, "entrypoint": ["python", "-m", "dovetail_aws.sagemaker_entry"]}, s3, tmp_path)
    for step, other in zip(ours["Steps"], theirs["Steps"], strict=True):
        if step["Name"] == "three":  # of which the other has defaults that are none of ours
            step["Arguments"] = {"ResourceConfig": {"KeepAlivePeriodInSeconds": step["Arguments"]["ResourceConfig"]["KeepAlivePeriodInSeconds"]}}
        assert lacking(step, other) == [], step["Name"]


def as_the_sdk_writes(told: Mapping[str, Any], s3: Emulator, folder: Path) -> dict[str, Any]:
    configuration = folder / "configuration.yaml"
    configuration.write_text(CONFIGURATION)
    variables = {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret-8f3a", "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": s3.url,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(configuration), "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(configuration), "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("sdk_steps.py"))]
    done = subprocess.run(command, input=json.dumps(told), text=True, capture_output=True, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lacking(said: Any, other: Any, place: str = "") -> list[str]:
    """What is said and the other does not say, or says otherwise."""
    if isinstance(said, dict) and isinstance(other, dict):
        return [each for name, value in said.items() for each in (lacking(value, other[name], f"{place}.{name}") if name in other else [f"{place}.{name}"])]
    if isinstance(said, list) and place.endswith(".ExceptionType"):
        return [] if sorted(said) == sorted(other) else [place]
    if isinstance(said, list) and isinstance(other, list) and len(said) == len(other):
        return [each for number, value in enumerate(said) for each in lacking(value, other[number], f"{place}.{number}")]
    return [] if said == other else [f"{place}: {said!r} and not {other!r}"]
