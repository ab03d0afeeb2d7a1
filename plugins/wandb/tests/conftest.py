"""Tests on the real W&B client, which sends nothing out of the machine."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, login or error reports of this user or to anybody."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@dataclass
class Project:
    """A project of the test's own. `steps`: the module `logging_steps.py` in it."""

    trials: Any
    steps: Any
    folder: Path

    def on(self, *components: Any) -> Any:
        from dovetail.local.artifact_store import LocalArtifactStore
        from dovetail.local.orchestrator import LocalOrchestrator

        return self.trials.on(LocalOrchestrator(), LocalArtifactStore(path=self.folder / "store"), *components)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    from dovetail.testing.trial import isolate, project_in

    isolate(tmp_path, monkeypatch)
    folder = tmp_path / "project"
    with project_in(folder, monkeypatch) as trials:
        shutil.copy(Path(__file__).with_name("logging_steps.py"), folder / "logging_steps.py")
        sys.modules.pop("logging_steps", None)
        yield Project(trials, importlib.import_module("logging_steps"), folder)
    sys.modules.pop("logging_steps", None)


@pytest.fixture
def offline(tmp_path: Path) -> Any:
    from dovetail_wandb.tracker import WandbTracker

    return WandbTracker(project="tests", mode="offline", dir=tmp_path / "kept", system_metrics=False)
