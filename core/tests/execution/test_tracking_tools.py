"""Steps that call a tracking tool themselves: the stack's tracker is open in time, and something stands in for one that is away."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import ExperimentTracker, StepRun
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import project_in

_FLOW = """
import tempfile

{imports}

from dovetail import log_metrics, pipeline, step

@step
def quiet() -> int:
    return 1

@step
def telling() -> int:
    log_metrics(loss=0.5)
    return 1

@step
def tidy() -> int:
    with tempfile.TemporaryDirectory() as folder:
        with tempfile.TemporaryDirectory(dir=folder):
            return 1

@pipeline
def flow():
    telling(after=quiet())

@pipeline
def tidying():
    tidy()
"""


class Noting(ExperimentTracker):
    """Writes down what it was told. Its tool is pluggy, which is installed wherever Dovetail is."""

    libraries = frozenset({"pluggy"})
    path: Path
    away: bool = False

    def note(self, what: str, step_run: StepRun | None = None) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{what} {step_run.name if step_run else ''}".strip() + "\n")

    def start(self, step_run: StepRun) -> None:
        if self.away:
            raise ConnectionError("nobody is there")
        self.note("start", step_run)

    def stand_in(self, step_run: StepRun) -> bool:
        self.note("stand in", step_run)
        return True

    def log_params(self, params: Any) -> None:
        self.note("params")

    def log_metrics(self, metrics: Any, step: int | None) -> None:
        self.note("metrics")

    def finish(self, step_run: StepRun) -> None:
        self.note("finish", step_run)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a pipeline of a module with these imports on a tracker, and gives the run and what the tracker was told."""
    noted = tmp_path / "noted"

    def run(imports: str, pipeline: str = "flow", **fields: Any) -> tuple[Any, list[str]]:
        (tmp_path / "project" / "tool_flow.py").write_text(_FLOW.format(imports=imports), encoding="utf-8")
        sys.modules.pop("tool_flow", None)
        importlib.invalidate_caches()
        tracker = Noting(path=noted, **fields)
        trial = trials.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), tracker)
        done = trial.run(getattr(importlib.import_module("tool_flow"), pipeline))
        return done, noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []

    with project_in(tmp_path / "project", monkeypatch) as trials:
        yield run
    sys.modules.pop("tool_flow", None)


def test_a_step_whose_code_imports_the_tool_is_tracked_from_its_start(run: Any) -> None:
    assert run("import pluggy")[1] == ["start quiet", "finish quiet", "start telling", "metrics", "finish telling"]


def test_other_steps_are_tracked_once_they_log(run: Any) -> None:
    assert run("")[1] == ["start telling", "metrics", "finish telling"]


def test_something_stands_in_for_a_tracker_that_cannot_be_started(run: Any) -> None:
    done, noted = run("import pluggy", away=True)
    assert noted == ["stand in quiet", "finish quiet", "stand in telling", "finish telling"]
    assert done.status == "completed"
    assert [step.outcome["tracker_errors"] for step in done.steps.values()] == [["ConnectionError: nobody is there"]] * 2


def test_a_step_that_makes_and_removes_folders_of_its_own_is_cached(run: Any) -> None:
    assert [run("", "tidying")[0].status for _ in range(2)] == ["completed", "cached"]
