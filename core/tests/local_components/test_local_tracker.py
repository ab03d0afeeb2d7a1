"""What steps log, as lines of JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import StepRun
from dovetail.errors import NameRefused
from dovetail.local.experiment_tracker import LocalTracker

RUN = StepRun("2026-01-02-abc", "my run", "fraud", "train", "train", tags=("a",), model="m", model_version=3)


def lines(folder: Path, run: StepRun = RUN) -> list[dict[str, Any]]:
    file = folder / run.pipeline / run.run_id / f"{run.name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_everything_that_is_logged_is_there_in_order(tmp_path: Path) -> None:
    tracker = LocalTracker(path=tmp_path)
    tracker.start(RUN)
    tracker.log_params({"lr": 0.1, "note": "ä\nb"})
    tracker.log_metrics({"loss": 0.5}, 1)
    tracker.log_metrics({"loss": 0.25}, None)
    tracker.finish(dataclasses.replace(RUN, status="completed"))
    started, params, first, second, finished = lines(tmp_path)
    assert (started["event"], started["run"], started["attempt"], started["tags"]) == ("started", "2026-01-02-abc", 1, ["a"])
    assert (started["model"], started["model_version"], started["stack"]) == ("m", 3, "default")
    assert params["params"] == {"lr": 0.1, "note": "ä\nb"}
    assert (first["metrics"], first["step"], second["step"]) == ({"loss": 0.5}, 1, None)
    assert (finished["event"], finished["status"]) == ("finished", "completed")
    assert started["time"] <= finished["time"]


def test_a_retry_appends_to_the_same_file(tmp_path: Path) -> None:
    for attempt in (1, 2):
        tracker = LocalTracker(path=tmp_path)
        tracker.start(dataclasses.replace(RUN, attempt=attempt))
        tracker.finish(dataclasses.replace(RUN, attempt=attempt, status="failed" if attempt == 1 else "completed"))
    assert [line.get("attempt") or line["status"] for line in lines(tmp_path)] == [1, "failed", 2, "completed"]


def test_step_runs_have_files_of_their_own(tmp_path: Path) -> None:
    other = dataclasses.replace(RUN, name="train.0")
    trackers = [LocalTracker(path=tmp_path), LocalTracker(path=tmp_path)]
    for tracker, run in zip(trackers, (RUN, other), strict=True):
        tracker.start(run)
    for number, tracker in enumerate(trackers):
        tracker.log_metrics({"n": number}, None)
    assert lines(tmp_path)[1]["metrics"] == {"n": 0}
    assert lines(tmp_path, other)[1]["metrics"] == {"n": 1}


def test_numbers_that_json_lacks_do_not_stop_a_step(tmp_path: Path) -> None:
    tracker = LocalTracker(path=tmp_path)
    tracker.start(RUN)
    tracker.log_metrics({"loss": math.nan}, 0)
    assert math.isnan(lines(tmp_path)[1]["metrics"]["loss"])


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for field in ("pipeline", "run_id", "name"):
        with pytest.raises(NameRefused):
            LocalTracker(path=tmp_path / "in").start(dataclasses.replace(RUN, **{field: "../../up"}))
    assert not list(tmp_path.iterdir())


def test_a_person_can_open_what_was_logged(tmp_path: Path) -> None:
    tracker = LocalTracker(path=tmp_path)
    tracker.start(RUN)
    url = tracker.url(RUN)
    assert url == (tmp_path / "fraud" / "2026-01-02-abc" / "train.jsonl").as_uri()


def test_logging_before_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="come after start"):
        LocalTracker(path=tmp_path).log_params({})


def test_a_folder_that_cannot_be_written_to_is_found_by_the_check(tmp_path: Path) -> None:
    assert LocalTracker(path=tmp_path / "new").check() == []
    (tmp_path / "file").write_text("")
    (problem,) = LocalTracker(path=tmp_path / "file" / "below").check()
    assert "cannot write to" in problem
