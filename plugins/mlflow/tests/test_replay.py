"""A step that is replayed calls MLflow as it did in its run, and nobody is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dovetail.execution.replaying import prepare, replay
from dovetail_mlflow import routing_step
from dovetail_mlflow.tracker import MlflowTracker


def everything(server: Any) -> list[Any]:
    """All that the server knows of runs."""
    client = server.client()
    experiments = [each.experiment_id for each in client.search_experiments()]
    return [(each.info.run_id, each.info.end_time, each.data.to_dictionary()) for each in client.search_runs(experiments)]


def test_nothing_reaches_the_server_or_the_callers_folder(
    project: Any, server: Any, tmp_path: Path, astray: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    trial = project.on(MlflowTracker(tracking_uri=server.url))
    run = trial.run(project.training.chain)
    retried = trial.run(project.training.folds)
    before = everything(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    surroundings = dict(os.environ)
    assert replay(prepare(trial.workspace, run.id, "plain")).same == {"output": True}
    again = replay(prepare(trial.workspace, run.id, "both"))
    assert (again.metrics, again.value != run.steps["both"].output.load()) == ({"mirrored": 2.0}, True)
    replay(prepare(trial.workspace, retried.id, "nested"))
    assert everything(server) == before
    assert (mlflow.active_run(), dict(os.environ)) == (None, surroundings)
    assert os.listdir(astray) == ["note.txt"], "the step wrote it itself"
    assert not (tmp_path / "mine.db").exists()
    assert not (project.folder / ".dovetail" / "mlflow").exists()


def test_a_step_that_fails_again_leaves_nothing_active(project: Any, server: Any) -> None:
    import mlflow

    trial = project.on(MlflowTracker(tracking_uri=server.url))
    run = trial.run(project.training.broken)
    before = everything(server)
    with pytest.raises(ValueError, match="no more flour"):
        replay(prepare(trial.workspace, run.id, "failing"))
    assert (mlflow.active_run(), everything(server)) == (None, before)


def test_on_other_stacks_what_is_logged_is_seen_and_then_forgotten(project: Any, steps: Any, astray: Path) -> None:
    trial = project.on()
    run = trial.run(steps.side_by_side)
    again = replay(prepare(trial.workspace, run.id, "side_2"))
    assert (again.metrics, routing_step._steps) == ({"number": 2.0}, {})
    assert os.listdir(astray) == []
