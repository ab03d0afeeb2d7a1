"""Cloud Storage on loopback for all tests of a session."""

from __future__ import annotations

import importlib
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import isolate, project_in
from storage_emulator import Emulator, emulator
from storage_front import Front, front


@pytest.fixture(scope="session")
def gcs() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="session")
def guarded() -> Iterator[Emulator]:
    """Who asks here without the right token is refused."""
    with emulator(token="the right one") as running:
        yield running


@pytest.fixture
def watched(gcs: Emulator) -> Iterator[Front]:
    """The same server, with somebody before it who notes every request and can let it fail."""
    with front(gcs.port) as standing:
        yield standing


@pytest.fixture
def make_store(gcs: Emulator) -> Callable[..., Any]:
    """A store below a prefix of the test's own; fields may be given."""
    from dovetail_gcp.artifact_store import GcsArtifactStore

    prefix = uuid.uuid4().hex

    def make(**fields: Any) -> GcsArtifactStore:
        given = {"path": f"gs://trial/{prefix}", "endpoint_url": gcs.url, **fields}
        store = GcsArtifactStore(**{name: value for name, value in given.items() if value is not None})
        store.called("bucket", "gcs")
        return store

    return make


@pytest.fixture
def store(make_store: Callable[..., Any], watched: Front) -> Any:
    """A store whose requests are seen."""
    return make_store(endpoint_url=watched.url)


@dataclass
class Project:
    """A project of the test's own. `steps`: the module `bucket_steps.py` in it."""

    trials: Any
    steps: Any
    folder: Path

    def on(self, *components: Any, **options: Any) -> Any:
        return self.trials.on(LocalOrchestrator(**options), *components)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    isolate(tmp_path, monkeypatch)
    folder = tmp_path / "project"
    with project_in(folder, monkeypatch) as trials:
        shutil.copy(Path(__file__).with_name("bucket_steps.py"), folder / "bucket_steps.py")
        sys.modules.pop("bucket_steps", None)
        yield Project(trials, importlib.import_module("bucket_steps"), folder)
    sys.modules.pop("bucket_steps", None)
