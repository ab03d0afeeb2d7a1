"""Tests on the real Evidently, which is imported once, as that takes seconds."""

from __future__ import annotations

import importlib
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dovetail.testing.trial import TrialProject, isolate, project_in

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Evidently's own modules and what they import warn of syntax and names that will go
    import evidently.metrics
    import evidently.presets  # noqa: F401


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as made:
        monkeypatch.chdir(made.project.root)
        yield made


@pytest.fixture
def steps(trials: TrialProject) -> Iterator[Any]:
    """The module `checking_steps.py` in a project of the test's own, which also has `own_metrics.py`."""
    names = ("checking_steps", "own_metrics")
    for name in names:
        shutil.copy(Path(__file__).with_name(f"{name}.py"), trials.project.root / f"{name}.py")
        sys.modules.pop(name, None)
    yield importlib.import_module("checking_steps")
    for name in names:
        sys.modules.pop(name, None)
