"""The built-in tracker keeps the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail.components import StepRun
from dovetail.local.experiment_tracker import LocalTracker
from dovetail.testing import ExperimentTrackerContract, Recorded


class TestLocalTracker(ExperimentTrackerContract):
    @pytest.fixture
    def tracker(self, tmp_path: Path) -> LocalTracker:
        return LocalTracker(path=tmp_path / "tracking")

    @pytest.fixture
    def recorded(self, tracker: LocalTracker) -> Callable[[StepRun], Recorded]:
        return lambda step_run: read(Path(tracker.path) / step_run.pipeline / step_run.run_id / f"{step_run.name}.jsonl")


def read(file: Path) -> Recorded:
    params, metrics, tags, status = {}, {}, {}, None
    for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        params.update(line.get("params", {}))
        tags.update(line["tags"] if line["event"] == "tags" else {})
        status = line.get("status")
        for name, value in line.get("metrics", {}).items():
            metrics.setdefault(name, []).append((value, line["step"]))
    folder = file.with_suffix(".files")
    files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    return Recorded(params, metrics, status, files, tags)
