"""Pipelines whose steps call MLflow as they always did, seen on the server by MLflow's own client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dovetail_mlflow import runs
from dovetail_mlflow.tracker import MlflowTracker


@pytest.fixture
def tracker(server: Any) -> MlflowTracker:
    return MlflowTracker(tracking_uri=server.url)


def runs_of(server: Any, run: Any) -> dict[str, Any]:
    """MLflow's runs of a pipeline run by step, the one that stands for all of it under ""."""
    client = server.client()
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{runs.RUN_ID}` = '{run.id}'")
    assert len({each.data.tags.get("dovetail.step", "") for each in found}) == len(found), "a step has two runs"
    return {each.data.tags.get("dovetail.step", ""): each for each in found}


def test_plain_calls_go_to_the_run_of_their_step(project: Any, on_server: Any, server: Any, astray: Path, tracker: MlflowTracker) -> None:
    run = on_server.run(project.training.chain)
    assert run.status == "completed"
    found = runs_of(server, run)
    plain, late, both = found["plain"], found["imported_late"], found["both"]
    assert (plain.data.params, plain.data.metrics, plain.data.tags["kind"]) == ({"value": "3"}, {"loss": 0.5}, "plain")
    with tracker.reached() as client:
        assert [each.path for each in client.list_artifacts(plain.info.run_id, "notes")] == ["notes/note.txt"]
    assert late.data.metrics == {"late": 3.0}
    assert both.data.metrics == {"plain": 1.0, "mirrored": 2.0}
    assert run.steps["both"].output.load() == both.info.run_id
    assert os.listdir(astray) == ["note.txt"]


def test_runs_of_steps_are_nested_below_one_for_the_pipeline_run(project: Any, on_server: Any, server: Any) -> None:
    run = on_server.run(project.training.chain)
    found = runs_of(server, run)
    parent = found.pop("")
    assert {each.data.tags["mlflow.parentRunId"] for each in found.values()} == {parent.info.run_id}
    assert {each.info.status for each in [parent, *found.values()]} == {"FINISHED"}
    assert (parent.info.run_name, parent.data.tags["dovetail.status"]) == (run.name, "completed")
    assert server.client().get_experiment(parent.info.experiment_id).name == "chain"


def test_autologging_of_one_step_does_not_reach_the_next(project: Any, on_server: Any, server: Any) -> None:
    found = runs_of(server, on_server.run(project.training.autologged))
    assert found["fitted"].data.params["max_iter"] == "200"
    assert "training_accuracy_score" in found["fitted"].data.metrics
    assert (found["fitted_by_itself"].data.params, found["fitted_by_itself"].data.metrics) == ({"by_itself": "True"}, {})


def test_runs_that_a_step_nests_lie_below_its_own_and_are_ended(project: Any, on_server: Any, server: Any) -> None:
    run = on_server.run(project.training.folds)
    own = runs_of(server, run)["nested"]
    below = server.client().search_runs([own.info.experiment_id], f"tags.mlflow.parentRunId = '{own.info.run_id}'")
    assert {each.info.run_name: each.info.status for each in below} == {"fold 0": "FINISHED", "fold 1": "FINISHED", "left open": "FINISHED"}


def test_a_retry_goes_on_in_the_same_run(project: Any, on_server: Any, server: Any, tmp_path: Path) -> None:
    run = on_server.run(project.training.retried, marker=str(tmp_path / "marker"))
    found = runs_of(server, run)["fails_once"]
    assert run.steps["fails_once"].output.load() == found.info.run_id
    history = server.client().get_metric_history(found.info.run_id, "attempt")
    assert sorted(point.value for point in history) == [1.0, 2.0]
    assert (found.info.status, found.data.tags["dovetail.attempt"]) == ("FINISHED", "2")
    assert (found.data.params["number"], found.data.tags["dovetail.param.number"]) == ("1", "2")
    assert run.steps["fails_once"].outcome.get("tracker_errors") is None


def test_a_failure_is_told(project: Any, on_server: Any, server: Any) -> None:
    found = runs_of(server, on_server.run(project.training.broken))
    assert {name: each.info.status for name, each in found.items()} == {"": "FAILED", "plain": "FINISHED", "failing": "FAILED"}
    assert found["failing"].data.metrics == {"before": 1.0}


def test_steps_at_once_do_not_mix(project: Any, on_server: Any, server: Any) -> None:
    run = on_server.run(project.training.at_once)
    found = runs_of(server, run)
    assert {name: (found[name].data.params, found[name].data.metrics) for name in ("first", "second")} == {
        "first": ({"number": "1"}, {"number": 1.0}), "second": ({"number": "2"}, {"number": 2.0})
    }


def test_a_cached_step_is_marked(project: Any, on_server: Any, server: Any) -> None:
    on_server.run(project.training.one)
    second = on_server.run(project.training.one)
    assert second.status == "cached"
    assert runs_of(server, second) == {}, "it called MLflow only by itself, so Dovetail has nothing to tell again"
    on_server.run(project.training.chain)
    again = runs_of(server, on_server.run(project.training.chain))
    assert again["both"].data.tags["dovetail.status"] == "cached"
    assert again["both"].data.metrics == {"mirrored": 2.0}
    assert again[""].info.status == "FINISHED"


def test_nothing_of_the_caller_reaches_a_step_and_all_of_it_is_back(
    project: Any, on_server: Any, server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "the callers own")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "the callers experiment")
    uri = f"sqlite:///{tmp_path}/caller.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("callers")
    try:
        with mlflow.start_run() as callers:
            before = dict(os.environ)
            run = on_server.run(project.training.environment)
            after = dict(os.environ)
            assert mlflow.active_run() is callers
            assert mlflow.get_tracking_uri() == uri
            mlflow.log_metric("mine", 1.0)
        assert mlflow.get_run(callers.info.run_id).data.metrics == {"mine": 1.0}
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.tracking.fluent._active_experiment_id = None
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    seen = run.steps["told"].output.load()
    assert seen["MLFLOW_TRACKING_URI"] == server.url
    assert not {"MLFLOW_TRACKING_TOKEN", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"} & set(seen)
    assert run.steps["told_with_its_own"].output.load()["MLFLOW_MINE"] == "1"
    assert runs_of(server, run)["told_with_its_own"].data.params == {"mine": "1"}
    assert after == before


def test_a_person_is_led_to_the_page_of_each_step(project: Any, on_server: Any, server: Any) -> None:
    from dovetail.client.tracked import tracker_urls

    run = on_server.run(project.training.chain)
    found = runs_of(server, run)
    assert sorted(tracker_urls(on_server.workspace, run)) == sorted(
        f"{server.url}/#/experiments/{found[name].info.experiment_id}/runs/{found[name].info.run_id}" for name in ("plain", "imported_late", "both")
    )
