"""Plain W&B in steps, as the real client wrote it down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import records

from dovetail.local.experiment_tracker import LocalTracker
from dovetail_wandb.tracker import WandbTracker, run_id


def written(tracker: WandbTracker, run: Any, step: str) -> records.Written:
    from dovetail.components import StepRun

    return records.read(Path(tracker.dir), run_id(StepRun(run.id, run.name, run.pipeline, step, step)))


def column(found: records.Written, name: str) -> list[Any]:
    return [row[name] for row in found.history if name in row]


def test_plain_calls_without_init_reach_the_run_of_their_step(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.plain_pipeline)
    plain, apart = written(offline, run, "plain"), written(offline, run, "in_a_process")
    assert column(plain, "loss") == [1.0, 0.5, 1 / 3]
    assert (plain.config["rate"], plain.summary["best"], plain.exit_code) == (0.5, 0.25, 0)
    assert column(apart, "apart") == [1.0]
    assert run.steps["plain"].output.load() == plain.run.run_id
    assert run.steps["in_a_process"].output.load() == apart.run.run_id
    assert not any(step.outcome.get("tracker_errors") for step in run.steps.values())


def test_what_a_thread_of_a_step_says_reaches_the_run_of_the_step(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.threaded)
    assert column(written(offline, run, "in_threads"), "from_thread") == [1.0]


def test_a_step_that_says_nothing_opens_no_run(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.plain_pipeline)
    assert len(records.runs(Path(offline.dir))) == 2
    assert written(offline, run, "silent").run is None


def test_a_run_says_where_it_comes_from(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.plain_pipeline)
    found = written(offline, run, "plain")
    assert (found.run.run_group, found.run.job_type, found.run.display_name, found.run.project) == (run.id, "plain", "plain", "tests")
    about = {"run": run.id, "run_name": run.name, "pipeline": "plain_pipeline", "step": "plain", "attempt": 1, "stack": run.stack, "parameters": {"value": 1}}
    assert found.config["dovetail"] == about


def test_media_and_tables_pass_through(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.media_pipeline)
    found = written(offline, run, "media")
    (row,) = found.history
    kinds = {name: row[f"{name}._type"] for name in ("picture", "table", "counts")}
    assert kinds == {"picture": "image-file", "table": "table-file", "counts": "histogram"}
    (place,) = (Path(offline.dir) / "wandb").glob(f"offline-run-*-{found.run.run_id}")
    assert (place / "files" / row["picture.path"]).read_bytes().startswith(b"\x89PNG")
    assert '"columns":["x","y"]' in (place / "files" / row["table.path"]).read_text().replace(" ", "")


def test_steps_at_once_in_one_process_each_have_their_own(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.parallel)
    for number in range(3):
        found = written(offline, run, f"side_{number}")
        assert column(found, "number") == [number] * 5
        assert column(found, "last") == [number]
        assert run.steps[f"side_{number}"].output.load() == found.run.run_id


def test_init_in_a_step_gives_the_run_of_the_step_and_finish_loses_nothing(
    project: Any, offline: WandbTracker, caplog: pytest.LogCaptureFixture
) -> None:
    run = project.on(offline).run(project.steps.with_inits)
    found = written(offline, run, "with_init")
    assert (found.config["rate"], found.run.project, found.exit_code) == (0.25, "tests", 0)
    assert "asked" in found.tags
    assert [column(found, name) for name in ("loss", "after", "accuracy")] == [[1.0], [2.0], [0.5]]
    assert run.steps["with_init"].output.load() == found.run.run_id
    assert "wandb.init(project) in a step" in caplog.text


def test_a_step_may_have_another_run_beside_its_own(project: Any, offline: WandbTracker, tmp_path: Path) -> None:
    run = project.on(offline).run(project.steps.own_run, folder=str(tmp_path / "own"))
    assert column(records.read(tmp_path / "own", "my-own-run"), "mine") == [1.0]
    assert column(written(offline, run, "with_a_run_of_its_own"), "steps") == [2.0]


def test_a_retry_goes_on_in_the_same_run(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.retried)
    found = written(offline, run, "second_time_lucky")
    assert column(found, "attempt") == [1, 2]
    assert (found.exit_code, found.config["dovetail"]["attempt"]) == (0, 2)


def test_metrics_whose_steps_go_back_are_kept(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.chain)
    found = written(offline, run, "trained")
    assert [(row["dovetail/step"], row.get("loss"), row.get("accuracy")) for row in found.history] == [(7, 0.5, None), (2, None, 0.5)]
    assert found.metrics == {"loss": "dovetail/step", "accuracy": "dovetail/step"} or set(found.metrics) >= {"loss", "accuracy"}


def test_on_another_tracker_wandb_is_as_it_always_was(project: Any, tmp_path: Path) -> None:
    run = project.on(LocalTracker(path=tmp_path / "tracking")).run(project.steps.trying)
    assert run.steps["tried"].output.load() == "You must call wandb.init() before wandb.log()"


def test_a_disabled_tracker_takes_everything_and_writes_nothing(project: Any, tmp_path: Path) -> None:
    tracker = WandbTracker(mode="disabled", dir=tmp_path / "kept")
    trial = project.on(tracker)
    assert trial.run(project.steps.trying).steps["tried"].output.load() == "logged"
    run = trial.run(project.steps.chain)
    assert [step.outcome.get("tracker_errors") for step in run.steps.values()] == [None, None]
    assert records.runs(tmp_path / "kept") == []


def test_nothing_passes_between_the_callers_own_wandb_and_the_steps(
    project: Any, offline: WandbTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    leaks = {"WANDB_RUN_GROUP": "leak", "WANDB_TAGS": "leak", "WANDB_NAME": "leak", "WANDB_NOTES": "leak", "WANDB_RUN_ID": "leak", "WANDB_PROJECT": "leak"}
    for name, value in leaks.items():
        monkeypatch.setenv(name, value)
    mine = wandb.init(mode="offline", id="mine", project="mine", dir=str(tmp_path / "mine"), settings=wandb.Settings(silent=True, console="off"))
    before = {name: value for name, value in os.environ.items() if name.startswith("WANDB")}
    try:
        run = project.on(offline).run(project.steps.plain_pipeline)
        assert wandb.run is mine
        wandb.log({"mine": 1.0})
        assert {name: value for name, value in os.environ.items() if name.startswith("WANDB")} == before
    finally:
        mine.finish()
    found, own = written(offline, run, "plain"), records.read(tmp_path / "mine", "mine")
    assert (found.run.run_group, found.run.display_name, found.run.notes, found.run.project, found.tags) == (run.id, "plain", "", "tests", ())
    assert (column(own, "mine"), column(own, "loss")) == ([1.0], [])


SESSION = """
import os, sys
from pathlib import Path
before = dict(os.environ)
from dovetail.components import StepRun
from dovetail_wandb.tracker import WandbTracker
tracker = WandbTracker(project="tests", mode="offline", dir=Path(sys.argv[1]) / "kept", system_metrics=False)
step_run = StepRun("r", "r", "p", "s", "s")
tracker.start(step_run); tracker.log_metrics({"loss": 1.0}, None); tracker.finish(step_run)
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
os.environ.update(WANDB_RUN_GROUP="set later", WANDB_MODE="offline", WANDB_DIR=sys.argv[1], WANDB_SILENT="true")
import wandb
assert wandb.run is None
run = wandb.init(project="mine")
assert (run.group, run.project) == ("set later", "mine")
run.finish()
"""


def test_a_session_that_begins_after_a_step_is_the_callers_own(tmp_path: Path) -> None:
    """W&B reads its variables once per process: what a step's run needed must not have been that once."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", SESSION, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "environment variables will be ignored" not in done.stderr


def test_wandb_is_not_imported_by_steps_that_do_not_use_it(project: Any, tmp_path: Path) -> None:
    script = (
        "import sys; from dovetail_wandb.tracker import WandbTracker; WandbTracker.attend(); WandbTracker(project='p', mode='offline').check();"
        "assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
