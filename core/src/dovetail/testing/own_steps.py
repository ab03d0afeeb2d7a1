"""A project with one module of steps, on a store that is to be tried: for tests of a plugin beside those that it inherits.

    @pytest.fixture
    def project(tmp_path, monkeypatch):
        with project_with(BUCKET_STEPS, tmp_path, monkeypatch) as made:
            yield made

    run = project.on(store).run(project.steps.diamond)
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Component
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import Trial, TrialProject, isolate, project_in

BUCKET_STEPS = Path(__file__).with_name("bucket_steps.py")


@dataclass(frozen=True)
class OwnSteps:
    """`steps`: the module, which lies in `folder`."""

    trials: TrialProject
    steps: Any
    folder: Path

    def on(self, *components: Component, **options: Any) -> Trial:
        """Beside a local orchestrator with these options."""
        return self.trials.on(LocalOrchestrator(**options), *components)


@contextmanager
def project_with(module: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnSteps]:
    """Nothing of this user's is seen in it. `module`: a file, of which the project gets a copy."""
    isolate(folder, monkeypatch)
    place = folder / "project"
    with project_in(place, monkeypatch) as trials:
        shutil.copy(module, place / module.name)
        sys.modules.pop(module.stem, None)
        yield OwnSteps(trials, importlib.import_module(module.stem), place)
    sys.modules.pop(module.stem, None)
