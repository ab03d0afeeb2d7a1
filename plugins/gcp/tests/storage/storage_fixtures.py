"""Cloud Storage on loopback for all tests of a session."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.testing.own_steps import BUCKET_STEPS, OwnSteps, project_with
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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnSteps]:
    with project_with(BUCKET_STEPS, tmp_path, monkeypatch) as made:
        yield made
