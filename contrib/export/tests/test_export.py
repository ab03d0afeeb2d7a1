"""The real `dovetail export` on real runs, read back as a program would."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Dovetail = Callable[..., subprocess.CompletedProcess[str]]
PIPELINES = '''
import math
from typing import Annotated

from dovetail import log_metrics, log_params, pipeline, step


@step
def train(rate: float, note: str) -> Annotated[list[float], "weights"]:
    log_params({"rate": rate, "layers": [64, 32]})
    for number in range(3):
        log_metrics({"loss": 1.0 / (number + 1)}, step=number)
    log_metrics({"odd": math.nan})
    return [rate, 2 * rate]


@step
def evaluate(weights: list[float], fail: bool) -> float:
    if fail:
        raise ValueError("no rows, none at all")
    return sum(weights)


@pipeline(tags=["nightly"])
def training(rate: float = 0.5, note: str = "größe, \\"quoted\\"\\nline", fail: bool = False):
    evaluate(train(rate, note), fail)
'''


@pytest.fixture
def dovetail(tmp_path: Path) -> Dovetail:
    """Runs the command in a project of its own."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "training.py").write_text(PIPELINES, encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DOVETAIL_") and name != "CI"}
    environ |= {"DOVETAIL_HOME": str(tmp_path / "home"), "DOVETAIL_CACHE": str(tmp_path / "cache"), "PYTHONUTF8": "1"}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("dovetail")), *arguments]
        done = subprocess.run(command, cwd=tmp_path / "project", env=environ, capture_output=True, text=True, encoding="utf-8", timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def ran(dovetail: Dovetail) -> Dovetail:
    """Two runs: one that completed, then one that failed."""
    dovetail("run", "training.py")
    dovetail("run", "training.py", "--param", "fail=true", code=1)
    return dovetail


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_it_is_a_command_among_the_others(dovetail: Dovetail) -> None:
    shown = dovetail("export", "--help").stdout
    assert all(name in shown for name in ("runs", "steps", "metrics", "artifacts"))
    assert "export" in dovetail("plugin", "list", "--output", "json").stdout


def test_runs_are_rows_with_their_parameters_newest_first(ran: Dovetail) -> None:
    failed, completed = rows(ran("export", "runs").stdout)
    assert (completed["pipeline"], completed["status"], completed["parameters.rate"]) == ("training", "completed", "0.5")
    assert (failed["status"], failed["parameters.fail"]) == ("failed", "True")
    assert "no rows, none at all" in failed["error"]
    assert completed["parameters.note"] == 'größe, "quoted"\nline'
    assert (completed["tags"], float(completed["seconds"]) > 0) == ('["nightly"]', True)
    assert list(completed)[:5] == ["run", "run_name", "pipeline", "stack", "status"]


def test_steps_are_rows_with_what_they_logged(ran: Dovetail) -> None:
    found = {(row["run"], row["step"]): row for row in rows(ran("export", "steps").stdout)}
    assert len(found) == 4
    first = next(row for row in found.values() if row["status"] == "completed" and row["step"] == "train")
    assert (first["params.rate"], first["params.layers"]) == ("0.5", "[64, 32]")
    assert (float(first["metrics.loss"]), math.isnan(float(first["metrics.odd"]))) == (1 / 3, True)
    cached = next(row for row in found.values() if row["status"] == "cached")
    assert cached["why"].startswith("taken from run ")
    broken = next(row for row in found.values() if row["status"] == "failed")
    assert broken["error"] == "ValueError: no rows, none at all"


def test_metrics_are_rows_in_the_order_of_logging(ran: Dovetail) -> None:
    found = [row for row in rows(ran("export", "metrics", "--status", "completed").stdout) if row["metric"] == "loss"]
    assert [(float(row["value"]), row["number"]) for row in found] == [(1.0, "0"), (0.5, "1"), (1 / 3, "2")]


def test_artifacts_are_rows_that_lead_to_their_payload(ran: Dovetail) -> None:
    found = {row["artifact"]: row for row in rows(ran("export", "artifacts", "--status", "completed").stdout)}
    assert set(found) == {"weights", "training.evaluate.output"}
    assert found["weights"]["version"] == "1"
    assert len(found["weights"]["digest"]) == 64
    assert Path(found["weights"]["uri"]).is_dir()


def test_json_lines_hold_the_same_with_types(ran: Dovetail) -> None:
    failed, completed = lines(ran("export", "runs", "--format", "jsonl").stdout)
    assert completed["parameters"] == {"rate": 0.5, "note": 'größe, "quoted"\nline', "fail": False}
    assert (completed["tags"], completed["error"], failed["status"]) == (["nightly"], None, "failed")
    steps = lines(ran("export", "steps", "--format", "jsonl").stdout)
    assert {"loss": 1 / 3, "odd": None} in [step["metrics"] for step in steps]


def test_what_is_asked_for_is_all_that_is_written(ran: Dovetail) -> None:
    assert len(rows(ran("export", "runs", "--limit", "1").stdout)) == 1
    assert [row["status"] for row in rows(ran("export", "runs", "--status", "failed").stdout)] == ["failed"]
    assert rows(ran("export", "runs", "--pipeline", "other").stdout) == []
    assert len(rows(ran("export", "runs", "--tag", "nightly").stdout)) == 2
    assert rows(ran("export", "runs", "--since", "2999-01-01").stdout) == []


def test_a_file_is_replaced_whole_and_what_was_written_is_told(ran: Dovetail, tmp_path: Path) -> None:
    target = tmp_path / "runs.csv"
    target.write_text("old", encoding="utf-8")
    done = ran("export", "runs", "--to", str(target))
    assert (done.stdout, f"Wrote 2 rows of 2 runs to {target}." in done.stderr) == ("", True)
    assert [row["status"] for row in rows(target.read_text(encoding="utf-8"))] == ["failed", "completed"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["runs.csv"]


def test_a_store_without_runs_gives_the_names_of_the_columns(dovetail: Dovetail) -> None:
    assert dovetail("export", "metrics").stdout.splitlines() == ["run,run_name,pipeline,step,metric,value,number,time"]
    assert dovetail("export", "metrics", "--format", "jsonl").stdout == ""


def test_a_run_that_cannot_be_read_hides_no_other_and_is_told(ran: Dovetail, tmp_path: Path) -> None:
    first = rows(ran("export", "runs").stdout)[1]["run"]
    (record,) = (tmp_path / "home" / "store" / "runs").glob(f"*/{first}/steps/train/outcome.json")
    record.chmod(0o644)
    record.write_text("{", encoding="utf-8")
    done = ran("export", "steps", code=1)
    assert {row["run"] for row in rows(done.stdout)} == {row["run"] for row in rows(ran("export", "runs", "--status", "failed").stdout)}
    assert f"Run {first} cannot be read and is left out." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "runs", "--status", "fine"], "There is no status 'fine'."),
        (["export", "runs", "--since", "yesterday"], "yesterday"),
        (["export", "runs", "--stack", "nowhere"], "There is no stack 'nowhere'."),
        (["export", "runs", "--format", "xml"], "'csv', 'jsonl'"),
        (["export", "runs", "--limit", "-1"], "-1"),
    ],
)
def test_wrong_usage_is_said_and_gives_2(dovetail: Dovetail, arguments: list[str], said: str) -> None:
    assert said in dovetail(*arguments, code=2).stderr


def test_a_folder_that_is_not_there_is_said(dovetail: Dovetail) -> None:
    assert "No such file or directory" in dovetail("export", "runs", "--to", "nowhere/runs.csv", code=1).stderr
