"""The tracker keeps what every tracker keeps, seen on a real server and in a project's own store."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import StepRun
from dovetail.testing import ExperimentTrackerContract, Recorded
from dovetail_mlflow import runs
from dovetail_mlflow.tracker import MlflowTracker


def read(client: Any, step_run: StepRun) -> Recorded:
    """What MLflow's own client sees of a step run."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = runs.find(client, experiments, runs.key_of(step_run.run_id, step_run.name))
    assert found is not None
    metrics = {
        name: [(point.value, point.step) for point in sorted(client.get_metric_history(found.info.run_id, name), key=lambda point: point.timestamp)]
        for name in found.data.metrics
    }
    status = None if found.info.status == "RUNNING" else found.data.tags[runs.STATUS]
    return Recorded(found.data.params, metrics, status, files_of(client, found.info.run_id), found.data.tags)


def files_of(client: Any, run_id: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        if not client.list_artifacts(run_id):
            return {}
        place = Path(client.download_artifacts(run_id, "", folder))
        return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


class TestMlflowTracker(ExperimentTrackerContract):
    @pytest.fixture
    def tracker(self, server: Any) -> MlflowTracker:
        return MlflowTracker(tracking_uri=server.url, tags={"team": "flour"})

    @pytest.fixture
    def recorded(self, tracker: MlflowTracker) -> Callable[[StepRun], Recorded]:
        def recorded(step_run: StepRun) -> Recorded:
            with tracker.reached() as client:
                return read(client, step_run)

        return recorded
