"""The tracker keeps what every tracker keeps, on the files that the real client writes offline."""

from __future__ import annotations

from pathlib import Path

import pytest
import records

from dovetail.testing import ExperimentTrackerContract, PluginContract
from dovetail_wandb.tracker import WandbTracker


class TestWandbTracker(ExperimentTrackerContract):
    @pytest.fixture
    def tracker(self, tmp_path: Path) -> WandbTracker:
        return WandbTracker(project="contract", mode="offline", dir=tmp_path / "kept", system_metrics=False)

    @pytest.fixture
    def recorded(self, tracker: WandbTracker):
        return lambda step_run: records.recorded(Path(tracker.dir), step_run)


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_wandb"
