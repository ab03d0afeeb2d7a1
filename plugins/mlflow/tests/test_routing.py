"""Plain MLflow calls in steps whose stack tracks with something else, and the same pipeline on one that tracks with MLflow."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.local.experiment_tracker import LocalTracker

SAID = {
    "params": {"rate": "0.1", "depth": "3", "kind": "linear"},
    "metrics": {"loss": 1 / 3, "recall": 0.5, "precision": 0.75},
    "tags": {"team": "fraud", "data": "iris", "season": "spring"},
    "history": [1.0, 0.5, 1 / 3],
    "listed": ["config.json", "notes", "texts"],
    "text": "text",
    "table": [500, 350],
}


@pytest.fixture(autouse=True)
def _no_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow loads each model once more in a process of its own to guess what it requires; the tests wait a second for that."""
    monkeypatch.setenv("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1")


def ran(project: Any, pipeline: Any, *components: Any, **parameters: Any) -> Any:
    run = project.on(*components).run(pipeline, **parameters)
    assert run.status == "completed", [step.outcome["error"]["traceback"] for step in run.steps.values() if "error" in (step.outcome or {})][0]
    return run


def portable(project: Any, steps: Any, tmp_path: Path, *components: Any) -> Any:
    """The one pipeline, which must not know the stack; what it reads back in its steps is the same everywhere."""
    (tmp_path / "own").mkdir()
    run = ran(project, steps.portable, *components, folder=str(tmp_path / "own"))
    assert run.steps["trained"].output.load() == SAID
    assert run.steps["autologged"].output.load() == 0.0
    return run


def recorded(run: Any) -> None:
    """What a routed pipeline leaves in Dovetail's own record, whatever tracks it."""
    trained, autologged = run.steps["trained"], run.steps["autologged"]
    assert (trained.params, trained.metrics) == (SAID["params"], SAID["metrics"])
    assert [(value, step) for value, step, _ in trained.outcome["metrics"]["loss"]] == [(1.0, 0), (0.5, 1), (1 / 3, 2)]
    assert trained.metadata == SAID["tags"]
    assert autologged.params["max_iter"] == "200"
    assert autologged.metrics["training_accuracy_score"] > 0.9
    assert run.steps["fitted_by_itself"].params == {"by_itself": "True"}
    assert not any(step.outcome.get("tracker_errors") for step in run.steps.values())


def test_on_the_built_in_tracker(project: Any, steps: Any, tmp_path: Path, astray: Path) -> None:
    run = portable(project, steps, tmp_path, LocalTracker(path=tmp_path / "tracking"))
    recorded(run)
    place = tmp_path / "tracking" / "portable" / run.id
    lines = [json.loads(line) for line in (place / "trained.jsonl").read_text().splitlines()]
    told = {name: value for line in lines for name, value in line.get("params", {}).items()}
    assert told == SAID["params"]
    assert (place / "trained.files" / "notes" / "note.txt").read_text() == "a note"
    assert (place / "trained.files" / "texts" / "deep" / "text.txt").read_text() == "text"
    assert (place / "autologged.files" / "model" / "MLmodel").is_file()
    assert os.listdir(astray) == []


def test_with_no_tracker_at_all(project: Any, steps: Any, tmp_path: Path, astray: Path) -> None:
    run = portable(project, steps, tmp_path)
    recorded(run)
    client = run.query
    note = client.get_artifact("portable.trained.notes.note.txt").load()
    assert Path(note).read_text() == "a note"
    model = client.get_artifact("portable.autologged.model").load()
    assert (Path(model) / "MLmodel").is_file()
    assert os.listdir(astray) == []


def test_on_weights_and_biases_offline(project: Any, steps: Any, tmp_path: Path, astray: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = pytest.importorskip("dovetail_wandb.tracker", reason="the plugin for Weights & Biases is not installed")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    offline = tracker.WandbTracker(project="routed", mode="offline", dir=tmp_path / "kept", system_metrics=False)
    run = portable(project, steps, tmp_path, offline)
    recorded(run)
    assert len(list((tmp_path / "kept" / "wandb").glob("offline-run-*/*.wandb"))) == 3
    (note,) = (tmp_path / "kept").rglob("notes/note.txt")
    assert note.read_text() == "a note"
    (model,) = (tmp_path / "kept").rglob("model/MLmodel")
    assert model.is_file()
    assert os.listdir(astray) == []


def test_on_mlflow_itself(project: Any, steps: Any, tmp_path: Path, server: Any) -> None:
    from dovetail_mlflow.tracker import MlflowTracker

    run = portable(project, steps, tmp_path, MlflowTracker(tracking_uri=server.url))
    client = server.client()
    (experiment,) = [each for each in client.search_experiments() if each.name == "portable"]
    found = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id]) if each.data.tags.get("dovetail.run_id") == run.id}
    assert found["trained"].data.params == SAID["params"]
    assert found["trained"].data.metrics == SAID["metrics"]
    assert found["autologged"].data.params["max_iter"] == "200"


def test_steps_at_once_keep_apart(project: Any, steps: Any) -> None:
    run = ran(project, steps.side_by_side)
    assert [run.steps[f"side_{number}"].metrics for number in range(3)] == [{"number": 0.0}, {"number": 1.0}, {"number": 2.0}]
    assert len({run.steps[f"side_{number}"].output.load() for number in range(3)}) == 3


def test_every_way_to_log_reaches_the_step(project: Any, steps: Any) -> None:
    run = ran(project, steps.ways)
    assert run.steps["in_a_thread"].metrics == {"from_thread": 1.0, "from_step": 2.0}
    assert (run.steps["asynchronous"].metrics, run.steps["asynchronous"].params) == ({"later": 1.0}, {"later_too": "1"})
    assert run.steps["nested"].metrics == {"loss": 1.0, "fold_0/loss": 0.0, "fold_1/loss": 1.0, "run_4/loss": 3.0}
    assert run.steps["nested"].output.load() == ["dovetail://step"]
    assert run.steps["apart"].params == {"apart": "True"}


def test_every_call_that_has_no_counterpart_is_refused_with_the_cure(project: Any, steps: Any, astray: Path) -> None:
    import mlflow

    addresses = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    sentences = ran(project, steps.refusing).steps["refused"].output.load()
    unknown = sentences.pop("get_run")
    assert "There is no run" in unknown
    assert "MlflowClient(tracking_uri=" in unknown
    for call, sentence in sentences.items():
        assert "cannot be used in this step: its stack has no tracker" in sentence, call
        assert "stack with an MLflow tracker" in sentence, call
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == addresses
    assert os.listdir(astray) == []


def test_traces_are_not_kept_and_that_is_said(project: Any, steps: Any, caplog: pytest.LogCaptureFixture) -> None:
    """MLflow lets no error with traces reach the code that is traced."""
    import mlflow

    run = ran(project, steps.tracing)
    assert run.steps["traced"].metrics == {"loss": 0.5}
    if hasattr(mlflow, "flush_trace_async_logging"):
        mlflow.flush_trace_async_logging()
    assert "tracing cannot be used in this step" in caplog.text


def test_an_address_that_is_named_is_asked(project: Any, steps: Any, tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/named.db"
    ran(project, steps.by_name, uri=uri)
    client = mlflow.MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("by name").experiment_id])
    assert found.data.metrics == {"loss": 0.5}


def test_the_callers_own_mlflow_is_neither_seen_nor_changed(project: Any, steps: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    mine = f"sqlite:///{tmp_path}/mine.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mine)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the caller")
    with mlflow.start_run() as active:
        monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
        before = dict(os.environ)
        (tmp_path / "own").mkdir()
        run = ran(project, steps.without_model, folder=str(tmp_path / "own"))
        asked = ran(project, steps.asking)
        assert dict(os.environ) == before
        assert (mlflow.active_run().info.run_id, mlflow.get_tracking_uri()) == (active.info.run_id, mine)
        mlflow.log_metric("mine", 1.0)
    recorded(run)
    assert asked.steps["addressed"].output.load() == ["dovetail://step", True]
    assert mlflow.get_run(active.info.run_id).data.metrics == {"mine": 1.0}
    assert len(mlflow.search_runs(search_all_experiments=True, output_format="list")) == 1


def test_nothing_is_left_active_or_on_after_the_steps(project: Any, steps: Any, tmp_path: Path) -> None:
    import mlflow
    from mlflow.utils.autologging_utils import autologging_is_disabled

    from dovetail_mlflow import routing_step, vendor

    (tmp_path / "own").mkdir()
    vendor.exchange_last_run(None)
    ran(project, steps.without_model, folder=str(tmp_path / "own"))
    assert (mlflow.active_run(), mlflow.last_active_run()) == (None, None)
    assert autologging_is_disabled("sklearn")
    assert routing_step._steps == {}
    assert mlflow.get_tracking_uri() != "dovetail://step"


def test_it_can_be_turned_off(project: Any, steps: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    monkeypatch.setenv("DOVETAIL_MLFLOW_ROUTING", "off")
    assert ran(project, steps.asking).steps["addressed"].output.load()[0] == f"sqlite:///{tmp_path}/mine.db"


def test_mlflow_without_dovetail_is_as_it_always_was(tmp_path: Path) -> None:
    script = (
        "import mlflow, sys; own = lambda: [m for m in sys.modules if m.startswith(('dovetail.execution', 'dovetail.client', 'dovetail.authoring'))];"
        f"mlflow.set_tracking_uri('sqlite:///{tmp_path}/mine.db'); mlflow.log_metric('loss', 0.5);"
        "print(mlflow.get_run(mlflow.active_run().info.run_id).data.metrics, own())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "{'loss': 0.5} []\n"), done.stderr
