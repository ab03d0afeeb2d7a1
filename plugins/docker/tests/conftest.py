"""One engine and one registry for all tests of a session; where none can be had, tests say why and are skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dovetail
import dovetail_docker
from dovetail.components import Secret
from dovetail.testing.trial import TrialProject, isolate, project_in
from dovetail_docker import testing
from dovetail_docker.container_registry import OciRegistry
from dovetail_docker.image_builder import DockerImageBuilder

sys.path.insert(0, str(Path(__file__).parent))

from index import WheelIndex  # noqa: E402


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
    """This Python and nothing else; an environment is mounted into it."""
    return testing.python_image(engine)


@pytest.fixture(scope="session")
def mounted(engine: testing.DockerEngine, python_image: str) -> dict[str, Any]:
    """A configuration whose image is this Python, with this environment and these sources mounted into it: nothing is built."""
    python = f"{sys.prefix}/bin/python"
    return {"host": engine.host, "image": python_image, "python": python, "network": "host", "volumes": testing.mounted_sources()}


def _registry(password: str | None) -> Iterator[testing.LocalRegistry]:
    try:
        started = testing.LocalRegistry(password).__enter__()
    except testing.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        started.__exit__()


@pytest.fixture(scope="session")
def registry() -> Iterator[testing.LocalRegistry]:
    """Lets everybody in."""
    yield from _registry(None)


@pytest.fixture(scope="session")
def guarded() -> Iterator[testing.LocalRegistry]:
    """Lets in who has the password."""
    yield from _registry("p4ssword-of-the-registry-0815")


@pytest.fixture(scope="session")
def wheels() -> Iterator[WheelIndex]:
    """What is installed here, for pip in builds, which have no network but this machine's loopback."""
    with WheelIndex(["dovetail", "dovetail-docker", "iniconfig"]) as index:
        yield index


@pytest.fixture
def building(engine: testing.DockerEngine, python_image: str, wheels: WheelIndex) -> dict[str, Any]:
    """The configuration of an image builder on the engine."""
    return {
        "host": engine.host, "base": python_image, "network": "host", "no_index": True, "trusted_hosts": ["127.0.0.1"],
        "find_links": Secret(wheels.url),
    }  # fmt: skip


@pytest.fixture
def image_builder(building: dict[str, Any]) -> DockerImageBuilder:
    return DockerImageBuilder(**building).called("builder", "docker")


@pytest.fixture
def pushing_to(guarded: testing.LocalRegistry) -> OciRegistry:
    return OciRegistry(uri=f"{guarded.uri}/team", username=guarded.user, password=Secret(guarded.password)).called("registry", "oci")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made
