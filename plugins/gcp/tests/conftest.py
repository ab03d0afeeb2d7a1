"""Nothing of this user's own credentials for Google Cloud is seen by a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail_docker import testing

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "storage")]

from google_fake import GoogleFake  # noqa: E402
from secrets_fake import SecretsFake  # noqa: E402
from vertex_engine import mounted_here  # noqa: E402
from vertex_fake import VertexFake  # noqa: E402


@pytest.fixture(autouse=True)
def own_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, file or machine's account of this user's says who asks, or where."""
    for name in list(os.environ):
        if name.startswith(("GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR")) or name == "GCLOUD_PROJECT":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture(scope="session")
def engine() -> Iterator[testing.DockerEngine]:
    try:
        started = testing.DockerEngine().__enter__()
    except testing.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        started.__exit__()


@pytest.fixture(scope="session")
def python_image(engine: testing.DockerEngine) -> str:
    """This Python and nothing else; the fake of Vertex AI mounts an environment into it."""
    return testing.python_image(engine)


@pytest.fixture(scope="session")
def mounted(engine: testing.DockerEngine) -> list[str]:
    return mounted_here()


@pytest.fixture
def google() -> Iterator[GoogleFake]:
    with GoogleFake() as fake:
        yield fake


@pytest.fixture
def vertex(google: GoogleFake, engine: testing.DockerEngine, mounted: list[str]) -> Iterator[VertexFake]:
    """Vertex AI whose jobs are really run."""
    fake = VertexFake(google, engine.client(), mounted)
    SecretsFake(google)
    try:
        yield fake
    finally:
        fake.close()
