"""What Vertex AI would refuse is found before anything is submitted, and what it refuses is told with the command that cures it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google_fake import GoogleFake, Problem
from vertex_fake import VertexFake

from dovetail import Resources, pipeline, step
from dovetail.components import Job, RunningJob
from dovetail.errors import ConfigurationError, PreflightFailed, StepFailed
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import TrialProject, isolate, project_in
from dovetail_gcp.vertex_step_operator import VertexStepOperator

IMAGE = "europe-west4-docker.pkg.dev/p/images/train:1"


@step(step_operator=True, resources=Resources(cpu=500))
def greedy() -> int:
    return 1


@step(step_operator=True, settings={"vertex": {"machine_type": "e2-standard-4"}}, resources=Resources(memory="64GiB"))
def crammed() -> int:
    return 1


@pipeline
def unfit() -> None:
    greedy()
    crammed()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made


@pytest.fixture
def operator(google: GoogleFake) -> VertexStepOperator:
    VertexFake(google)
    made = VertexStepOperator(project="p", location="europe-west4", endpoint_url=google.url, image=IMAGE, poll_interval=0.05, attempts=2)
    return made.called("jobs", "vertex")  # type: ignore[return-value]


def job(**more: Any) -> Job:
    return Job("train-1", ["-c", "pass"], **more)


def test_what_no_machine_has_is_found_before_anything_is_submitted(
    operator: VertexStepOperator, google: GoogleFake, project: TrialProject, tmp_path: Path
) -> None:
    with pytest.raises(PreflightFailed) as caught:
        project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "s"), operator).plan(unfit)
    assert re.search(r"Step 'greedy', by [a-z ]+ '[^']+': No\ machine\ of\ Vertex\ AI's\ families", str(caught.value))
    assert re.search(r"Step 'crammed', by [a-z ]+ '[^']+': Machine\ type\ 'e2\-standard\-4'\ has\ 4\ cores,\ 16\ GiB", str(caught.value))
    assert google.received("POST", "/customJobs") == []


def test_what_is_waived_is_not_missed_by_a_machine(operator: VertexStepOperator, project: TrialProject, tmp_path: Path) -> None:
    trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "s"), operator, waive=["resources"])
    with pytest.raises(PreflightFailed) as caught:  # for the store, which is a local one
        trial.plan(unfit)
    assert "machine" not in str(caught.value).replace("folder of this machine", "").lower()


def test_denied_is_told_with_the_role_and_the_command_that_grants_it(operator: VertexStepOperator, google: GoogleFake) -> None:
    said = "Permission 'aiplatform.customJobs.create' denied on resource '//aiplatform.googleapis.com/projects/p/locations/europe-west4' (or it may not exist)."
    google.refused.append(("POST .*/customJobs", Problem(403, "PERMISSION_DENIED", said, "IAM_PERMISSION_DENIED")))
    with pytest.raises(StepFailed, match="aiplatform.customJobs.create") as caught:
        operator.start(job())
    assert "gcloud projects add-iam-policy-binding p --member=user:EMAIL --role=roles/aiplatform.user" in str(caught.value)


def test_a_service_that_is_off_is_told_with_the_command_that_switches_it_on(operator: VertexStepOperator, google: GoogleFake) -> None:
    google.refused.append(
        ("GET .*/customJobs", Problem(403, "PERMISSION_DENIED", "Vertex AI API has not been used in project 1", "SERVICE_DISABLED"))
    )
    [problem] = operator.check()
    assert "`gcloud services enable aiplatform.googleapis.com --project=p`" in problem
    assert problem.startswith("Step operator 'jobs'")


def test_a_wrong_project_is_told_as_one(operator: VertexStepOperator, google: GoogleFake) -> None:
    google.refused.append(("GET .*/customJobs", Problem(403, "PERMISSION_DENIED", "Permission denied on resource project p.", "CONSUMER_INVALID")))
    [problem] = operator.check()
    assert "Check `project` and `location` ('p', 'europe-west4')" in problem


def test_a_quota_that_is_used_up_is_told_by_its_name_and_at_once(operator: VertexStepOperator, google: GoogleFake) -> None:
    said = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_nvidia_t4_gpus"
    google.refused += [("POST .*/customJobs", Problem(429, "RESOURCE_EXHAUSTED", said))] * 2
    with pytest.raises(StepFailed, match="custom_model_training_nvidia_t4_gpus") as caught:
        operator.start(job())
    assert "gcloud beta quotas info list --service=aiplatform.googleapis.com --project=p" in str(caught.value)


def test_an_answer_that_got_lost_is_found_again_and_no_second_job_is_made(operator: VertexStepOperator, google: GoogleFake) -> None:
    google.lost.append("POST .*/customJobs")
    with pytest.raises(ConnectionError):
        operator.start(job())
    operator.start(job())
    assert len(google.received("POST", "/customJobs")) == 1


def test_a_service_that_is_away_while_a_job_runs_is_a_connection_error(operator: VertexStepOperator, google: GoogleFake) -> None:
    running = operator.start(job())
    google.refused += [(r"GET .*/customJobs/\d+", Problem(503, "UNAVAILABLE", "later"))] * 2
    with pytest.raises(ConnectionError, match="503"):
        running.wait(0.1)
    assert running.wait(0.1) is None


def test_a_job_is_looked_at_no_oftener_than_the_interval(google: GoogleFake) -> None:
    VertexFake(google)
    operator = VertexStepOperator(project="p", location="europe-west4", endpoint_url=google.url, image=IMAGE, poll_interval=30.0)
    running = operator.start(job())
    for _ in range(5):
        running.wait(0.02)
    assert len(google.received("GET", r"/customJobs/\d+")) == 1


@pytest.mark.parametrize(
    ("state", "message", "code", "told"),
    [
        ("JOB_STATE_FAILED", "The replica workerpool0-0 exited with a non-zero status of 75. Termination reason: Error.", 75, "75"),
        (
            "JOB_STATE_FAILED",
            "The replica workerpool0-0 ran out-of-memory and exited with a non-zero status of 9(SIGKILL).",
            137,
            "e2-standard-4; ask for more",
        ),
        ("JOB_STATE_FAILED", f"Failed to pull image {IMAGE}: denied", 1, "add-iam-policy-binding images --project=p --location=europe-west4"),
        ("JOB_STATE_FAILED", "Image does not exist.", 1, f"gcloud artifacts docker images describe {IMAGE}"),
        ("JOB_STATE_FAILED", "Internal error occurred for the current attempt.", 1, "Internal error"),
        ("JOB_STATE_EXPIRED", "", 124, ""),
        ("JOB_STATE_CANCELLED", "CANCELED", 143, "CANCELED"),
        ("JOB_STATE_SUCCEEDED", "", 0, ""),
    ],
)
def test_how_a_job_ended_is_told(operator: VertexStepOperator, google: GoogleFake, state: str, message: str, code: int, told: str) -> None:
    running, fake = _started(operator, google)
    fake.jobs["7"] |= {"state": state, "error": {"code": 3, "message": message}}
    assert running.wait(1.0) == code
    assert told in running.explain()


def test_a_job_is_queued_until_it_has_a_machine(operator: VertexStepOperator, google: GoogleFake) -> None:
    running, fake = _started(operator, google)
    for state, queued in (("JOB_STATE_QUEUED", True), ("JOB_STATE_PENDING", True), ("JOB_STATE_RUNNING", False)):
        fake.jobs["7"]["state"] = state
        running.wait(0.2)
        assert running.queued() is queued


def test_a_job_that_was_deleted_has_ended(operator: VertexStepOperator, google: GoogleFake) -> None:
    running, fake = _started(operator, google)
    fake.jobs.clear()
    assert (running.wait(1.0), running.explain()) == (-1, "Its job has been deleted.")
    running.stop()


def _started(operator: VertexStepOperator, google: GoogleFake) -> tuple[RunningJob, VertexFake]:
    fake = VertexFake(google)
    fake._numbers = iter([7])  # type: ignore[assignment]
    google.route("POST", "/v2/entries:list", lambda _: {"entries": [{"textPayload": "its last words"}]})
    return operator.start(job()), fake


def test_its_address_is_the_name_of_the_resource_and_where_a_person_sees_it(operator: VertexStepOperator, google: GoogleFake) -> None:
    address = _started(operator, google)[0].address
    assert address.startswith("projects/p/locations/europe-west4/customJobs/7 ")
    assert "https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/7?project=p" in address


def test_an_image_behind_a_password_that_the_service_has_not_is_refused(google: GoogleFake) -> None:
    from dovetail.components import Credentials, Secret

    operator = VertexStepOperator(project="p", location="europe-west4")
    with pytest.raises(ConfigurationError, match="gar"):
        operator.start(job(image="registry.example.com/a:1", login=Credentials("registry.example.com", "me", Secret("x"))))


def test_variables_that_the_service_does_not_take_are_refused_before(operator: VertexStepOperator, google: GoogleFake) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("'A.B'")):
        operator.start(job(variables={"A.B": "c"}))
    with pytest.raises(ConfigurationError, match="101"):
        operator.start(job(variables={f"V{number}": "" for number in range(101)}))
    assert google.asked == []


def test_a_check_without_network_ends_soon_and_names_what_it_could_not_reach() -> None:
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    begun = time.monotonic()
    [problem] = VertexStepOperator(project="p", location="europe-west4", endpoint_url=address, image=IMAGE).called("jobs", "vertex").check()
    assert time.monotonic() - begun < 15
    assert "127.0.0.1" in problem


def test_a_check_without_credentials_says_how_to_sign_in() -> None:
    begun = time.monotonic()
    [problem] = VertexStepOperator(project="p", location="europe-west4", image=IMAGE).called("jobs", "vertex").check()
    assert time.monotonic() - begun < 15
    assert "gcloud auth application-default login" in problem
