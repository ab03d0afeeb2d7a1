"""A run on Vertex AI Pipelines is followed, found again, stopped and explained; schedules are made, replaced and ended."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from google_fake import GoogleFake, Problem
from pipelines_fake import PipelinesFake
from test_vertex_pipeline_requests import IMAGE, LABELS, graph, job, orchestrator

from dovetail.components import RunningJob
from dovetail.errors import StepFailed
from dovetail.values.settings import Schedule
from dovetail_gcp.errors import GoogleError
from dovetail_gcp.vertex_orchestrator import VertexOrchestrator

NAME = "projects/p/locations/europe-west4/pipelineJobs/p-7unnel-01abc-1"


@pytest.fixture
def fake(google: GoogleFake) -> PipelinesFake:
    return PipelinesFake(google)


def started(google: GoogleFake, **more: Any) -> RunningJob:
    return orchestrator(google, **{"poll_interval": 0.02, "attempts": 2, **more}).start(graph())


def test_its_address_is_the_name_of_the_resource_and_where_a_person_sees_it(google: GoogleFake, fake: PipelinesFake) -> None:
    address = started(google).address
    assert address == f"{NAME} (https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/p-7unnel-01abc-1?project=p)"
    assert orchestrator(google).find(address).address == address


def test_an_answer_that_got_lost_makes_no_second_run(google: GoogleFake, fake: PipelinesFake) -> None:
    google.lost.append("POST .*/pipelineJobs")
    address = started(google).address
    assert started(google).address == address
    assert len(fake.jobs) == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [("PIPELINE_STATE_SUCCEEDED", 0), ("PIPELINE_STATE_FAILED", 1), ("PIPELINE_STATE_CANCELLED", 143), ("PIPELINE_STATE_RUNNING", None), ("PIPELINE_STATE_PAUSED", None)],
)
def test_how_it_ended_is_told_to_whoever_finds_it(google: GoogleFake, fake: PipelinesFake, state: str, code: int | None) -> None:
    address = started(google).address
    fake.jobs["p-7unnel-01abc-1"]["state"] = state
    assert orchestrator(google, poll_interval=0.02).find(address).wait(0.1) == code


def test_one_that_was_deleted_has_ended(google: GoogleFake, fake: PipelinesFake) -> None:
    running = started(google)
    fake.jobs.clear()
    assert (running.wait(1.0), running.explain()) == (-1, "Its job has been deleted.")
    running.stop()


def test_one_is_stopped_and_can_be_told_to_twice(google: GoogleFake, fake: PipelinesFake) -> None:
    running = started(google)
    running.stop()
    assert running.wait(1.0) == 143
    running.stop()


def test_a_service_that_is_away_while_it_runs_is_a_connection_error(google: GoogleFake, fake: PipelinesFake) -> None:
    running = started(google)
    google.refused += [(r"GET .*/pipelineJobs/.+", Problem(503, "UNAVAILABLE", "later"))] * 2
    with pytest.raises(ConnectionError, match="503"):
        running.wait(0.1)
    assert running.wait(0.1) is None


def test_a_run_is_looked_at_no_oftener_than_the_interval(google: GoogleFake, fake: PipelinesFake) -> None:
    running = started(google, poll_interval=30.0)
    for _ in range(5):
        running.wait(0.02)
    assert len(google.received("GET", r"/pipelineJobs/.+")) == 1


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("The replica workerpool0-0 exited with a non-zero status of 75.", "status of 75"),
        ("The replica workerpool0-0 ran out-of-memory and exited with a non-zero status of 9(SIGKILL).", "Resources(memory=…)"),
        (f"Failed to pull image {IMAGE}: denied", "add-iam-policy-binding images --project=p --location=europe-west4"),
    ],
)
def test_why_it_failed_is_told_with_the_failed_task_and_its_last_words(google: GoogleFake, fake: PipelinesFake, message: str, told: str) -> None:
    google.route("POST", "/v2/entries:list", lambda asked: {"entries": [{"textPayload": "its last words"}]} if 'job_id="9"' in asked.body["filter"] else {})
    running = started(google)
    custom = {"containerDetail": {"mainJob": "projects/p/locations/europe-west4/customJobs/9"}}
    tasks = [
        {"taskName": "load", "state": "SUCCEEDED", "executorDetail": custom},
        {"taskName": "train-01abc-1", "state": "FAILED", "error": {"message": message}, "executorDetail": custom},
    ]
    said = "The DAG failed because some tasks failed. The failed tasks are: [train-01abc-1]."
    fake.jobs["p-7unnel-01abc-1"] |= {"state": "PIPELINE_STATE_FAILED", "error": {"code": 9, "message": said}, "jobDetail": {"taskDetails": tasks}}
    assert running.wait(1.0) == 1
    explained = running.explain()
    assert explained.startswith(f"{said} Task 'train-01abc-1' failed: ")
    assert told in explained
    assert explained.endswith("It said last:\nits last words")
    assert "'load'" not in explained


def test_a_quota_that_is_used_up_is_told_by_its_name_with_the_command(google: GoogleFake, fake: PipelinesFake) -> None:
    said = "Quota exceeded for quota metric 'PipelineJobs', limit 'PipelineJobs per minute'"
    google.refused += [("POST .*/pipelineJobs", Problem(429, "RESOURCE_EXHAUSTED", said))] * 2
    with pytest.raises(StepFailed, match="PipelineJobs per minute") as caught:
        started(google)
    assert "gcloud beta quotas info list --service=aiplatform.googleapis.com --project=p" in str(caught.value)


def test_an_account_that_may_not_be_used_is_told_with_the_role(google: GoogleFake, fake: PipelinesFake) -> None:
    said = "You do not have permission to act as service_account: s@p."
    google.refused.append(("POST .*/pipelineJobs", Problem(403, "PERMISSION_DENIED", said, "IAM_PERMISSION_DENIED")))
    with pytest.raises(StepFailed, match="act as service_account") as caught:
        started(google, service_account="s@p")
    assert "gcloud iam service-accounts add-iam-policy-binding s@p" in str(caught.value)


# -- check ---------------------------------------------------------------------------------------------------------------


def test_a_check_asks_for_pipelines_and_finds_nothing_wrong(google: GoogleFake, fake: PipelinesFake) -> None:
    assert orchestrator(google).check() == []
    assert google.asked[0].path == "/v1/projects/p/locations/europe-west4/pipelineJobs"


def test_a_service_that_is_off_is_told_with_the_command_that_switches_it_on(google: GoogleFake, fake: PipelinesFake) -> None:
    google.refused.append(("GET .*/pipelineJobs", Problem(403, "PERMISSION_DENIED", "Vertex AI API has not been used in project 1", "SERVICE_DISABLED")))
    [problem] = orchestrator(google).check()
    assert "`gcloud services enable aiplatform.googleapis.com --project=p`" in problem
    assert problem.startswith("Orchestrator 'pipes'")


def test_a_check_without_network_ends_soon_and_names_what_it_could_not_reach() -> None:
    with socket.socket() as silent:  # it takes connections, and never answers
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
    begun = time.monotonic()
    [problem] = VertexOrchestrator(project="p", location="europe-west4", endpoint_url=address).called("pipes", "vertex").check()
    assert time.monotonic() - begun < 15
    assert "127.0.0.1" in problem


# -- schedules -------------------------------------------------------------------------------------------------------------


def test_a_schedule_says_when_and_what(google: GoogleFake, fake: PipelinesFake) -> None:
    at = orchestrator(google, scheduled_at_once=3, service_account="s@p")
    address = at.schedule("tunnel", Schedule("0 6 * * 1-5", "Europe/Berlin"), graph())
    body = google.received("POST", "/schedules")[0].body
    assert body == {
        "displayName": "tunnel",
        "cron": "TZ=Europe/Berlin 0 6 * * 1-5",
        "maxConcurrentRunCount": "3",
        "createPipelineJobRequest": {"parent": "projects/p/locations/europe-west4", "pipelineJob": at.pipeline_job(graph())},
    }
    assert address == next(iter(fake.schedules))
    assert body["createPipelineJobRequest"]["pipelineJob"]["serviceAccount"] == "s@p"


def test_a_schedule_of_the_same_pipeline_and_stack_is_replaced_and_no_other(google: GoogleFake, fake: PipelinesFake) -> None:
    at, hourly = orchestrator(google), Schedule("0 * * * *")
    other = at.schedule("tunnel", hourly, graph(labels={**LABELS, "dovetail.stack": "another"}))
    at.schedule("tunnel", hourly, graph())
    last = at.schedule("tunnel", Schedule("5 * * * *"), graph())
    assert set(fake.schedules) == {other, last}
    assert fake.schedules[last]["cron"] == "TZ=UTC 5 * * * *"


def test_a_schedule_that_cannot_be_made_leaves_the_one_that_there_is(google: GoogleFake, fake: PipelinesFake) -> None:
    at = orchestrator(google, attempts=1)
    first = at.schedule("tunnel", Schedule("0 * * * *"), graph())
    google.refused.append(("POST .*/schedules", Problem(400, "INVALID_ARGUMENT", "Invalid cron")))
    with pytest.raises(GoogleError, match="Invalid cron"):
        at.schedule("tunnel", Schedule("0 * * * 6"), graph())
    assert set(fake.schedules) == {first}


@pytest.mark.parametrize("overlap", ["allow", "cancel"])
def test_runs_of_a_schedule_beside_each_other_are_refused_where_one_may_run_at_a_time(google: GoogleFake, overlap: str) -> None:
    (problem,) = orchestrator(google).schedule_problems(Schedule("0 * * * *", overlap=overlap))
    assert f"overlap='{overlap}'" in problem
    assert "scheduled_at_once" in problem
    assert orchestrator(google, scheduled_at_once=2).schedule_problems(Schedule("0 * * * *", overlap=overlap)) == []
    assert orchestrator(google).schedule_problems(Schedule("0 * * * *")) == []


def test_a_schedule_is_ended_and_can_be_twice(google: GoogleFake, fake: PipelinesFake) -> None:
    at = orchestrator(google)
    address = at.schedule("tunnel", Schedule("0 * * * *"), graph())
    at.unschedule(address)
    at.unschedule(address)
    assert fake.schedules == {}


def test_what_a_schedule_starts_is_the_run_that_it_was_given(google: GoogleFake, fake: PipelinesFake) -> None:
    at = orchestrator(google)
    made = fake.run_schedule(at.schedule("tunnel", Schedule("0 * * * *"), graph(job("schedule-tunnel-1"))))
    assert list(made["pipelineSpec"]["root"]["dag"]["tasks"]) == ["schedule-tunnel-1"]
    assert at.find(made["name"]).wait(0.0) is None
