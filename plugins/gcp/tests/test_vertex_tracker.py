"""The Vertex tracker keeps the contract, and leaves what Vertex AI's own library and console read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from experiments_fake import ExperimentsFake
from google_fake import GoogleFake, Problem

from dovetail.components import StepRun
from dovetail.errors import ConfigurationError
from dovetail.testing import ExperimentTrackerContract
from dovetail.testing.experiment_tracker import Recorded
from dovetail_gcp.vertex_tracker import VertexTracker, experiment_id, run_name

_STATES = {"COMPLETE": "completed", "FAILED": "failed", "CACHED": "cached", "RUNNING": None}


def tracker_at(google: GoogleFake, **fields: Any) -> VertexTracker:
    return VertexTracker(project="p", location="europe-west4", endpoint_url=google.url, **fields).called("tracked", "vertex")  # type: ignore[return-value]


def recorded_of(fake: ExperimentsFake, step_run: StepRun) -> Recorded:
    name, things = run_name(step_run), fake.things
    context = next(thing for each, thing in things.items() if each.endswith(f"/contexts/{experiment_id(step_run.pipeline)}-{name}"))
    about = context["metadata"]
    series = [each for each in things if f"/runs/{name}/timeSeries/" in each]
    metrics = {things[each]["displayName"]: [(value, step) for step, value in sorted(fake.points[each].items())] for each in series}
    return Recorded(about["_params"], metrics, _STATES[about["_state"]], {}, about.get("_tags", {}))


class TestVertexTracker(ExperimentTrackerContract):
    @pytest.fixture
    def fake(self, google: GoogleFake) -> ExperimentsFake:
        return ExperimentsFake(google)

    @pytest.fixture
    def tracker(self, google: GoogleFake, fake: ExperimentsFake) -> VertexTracker:
        return tracker_at(google)

    @pytest.fixture
    def recorded(self, fake: ExperimentsFake) -> Callable[[StepRun], Recorded]:
        return lambda step_run: recorded_of(fake, step_run)


def logged(tracker: VertexTracker, **more: Any) -> StepRun:
    """A step run to which 500 values were logged, one by one."""
    prepared = tracker.prepare({"id": "01abc", "name": "flights-1", "pipeline": "Flights: EU", "tags": []})
    step_run = StepRun("01abc", "flights-1", "Flights: EU", "train", "train", prepared=prepared, model="Delay Model", model_version=3)
    tracker.start(step_run)
    tracker.log_params({"rate": 0.5, "sure": True, "layers": [1, 2]})
    for number in range(500):
        tracker.log_metrics({"loss": 1.0 / (number + 1)}, number)
    tracker.finish(StepRun("01abc", "flights-1", "Flights: EU", "train", "train", prepared=prepared, status="completed"))
    return step_run


def test_a_run_is_what_the_console_and_the_library_of_vertex_ai_read(google: GoogleFake) -> None:
    fake = ExperimentsFake(google)
    step_run = logged(tracker_at(google))
    experiment, run = experiment_id("Flights: EU"), run_name(step_run)
    store = "projects/p/locations/europe-west4/metadataStores/default"
    board = f"projects/p/locations/europe-west4/tensorboards/77/experiments/{experiment}"
    context = fake.things[f"{store}/contexts/{experiment}-{run}"]
    assert fake.things[f"{store}/contexts/{experiment}"]["added"] == [context["name"]]
    assert context["displayName"] == run
    assert context["metadata"] == {"_params": {"rate": 0.5, "sure": "true", "layers": "[1, 2]"}, "_metrics": {"loss": 0.002}, "_state": "COMPLETE"}
    assert context["labels"] == {
        "dovetail-run": "01abc", "dovetail-run-name": "flights-1", "dovetail-pipeline": "flights--eu", "dovetail-step": "train", "dovetail-stack": "default",
        "dovetail-model": "delay-model", "dovetail-model-version": "3",
    }  # fmt: skip
    assert context["added"] == [f"{store}/artifacts/{experiment}-{run}-tb-run"]
    assert fake.things[context["added"][0]]["metadata"] == {"resourceName": f"{board}/runs/{run}", "vertex_experiment_tracking": True}
    assert f"/experiments/{experiment}/runs/{experiment}-{run}?project=p" in str(tracker_at(google).url(step_run))


def test_many_values_are_sent_together(google: GoogleFake) -> None:
    ExperimentsFake(google)
    logged(tracker_at(google))
    assert len(google.asked) < 20


def test_without_history_only_last_values_are_kept_and_no_tensorboard_is_touched(google: GoogleFake) -> None:
    fake = ExperimentsFake(google)
    step_run = logged(tracker_at(google, history=False))
    assert [name for name in fake.things if "tensorboards" in name] == []
    assert recorded_of(fake, step_run).params["rate"] == 0.5


def test_the_tensorboard_and_the_experiment_that_are_named_are_taken(google: GoogleFake) -> None:
    fake = ExperimentsFake(google)
    logged(tracker_at(google, tensorboard="9", experiment="fraud"))
    assert "projects/p/locations/europe-west4/tensorboards/9/experiments/fraud" in fake.things
    assert google.received("GET", "/tensorboards") == []


def test_a_project_that_never_had_an_experiment_gets_its_store(google: GoogleFake) -> None:
    fake = ExperimentsFake(google, store=False)
    logged(tracker_at(google))
    assert google.received("POST", "/metadataStores")[0].query == {"metadataStoreId": "default"}
    assert fake.store


def test_steps_that_were_not_said_go_on_after_those_of_the_attempt_before(google: GoogleFake) -> None:
    fake = ExperimentsFake(google)
    prepared = tracker_at(google).prepare({"pipeline": "p"})
    for attempt, value in ((1, 0.5), (2, 0.75)):
        step_run = StepRun("01abc", "p-1", "p", "train", "train", prepared=prepared, attempt=attempt, status="failed")
        tracker = tracker_at(google)
        tracker.start(step_run)
        tracker.log_metrics({"score": value}, None)
        tracker.finish(step_run)
    assert recorded_of(fake, step_run).metrics["score"] == [(0.5, 0), (0.75, 1)]


def test_rights_that_lack_are_told_before_the_run(google: GoogleFake) -> None:
    ExperimentsFake(google)
    google.refused.append(
        ("POST .*/contexts", Problem(403, "PERMISSION_DENIED", "Permission 'aiplatform.contexts.create' denied", "IAM_PERMISSION_DENIED"))
    )
    with pytest.raises(ConfigurationError, match="--role=roles/aiplatform.user"):
        tracker_at(google).prepare({"pipeline": "p"})
