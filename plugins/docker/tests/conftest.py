"""One engine and one registry for all tests of a session; where none can be had, tests say why and are skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail_docker import testing

sys.path.insert(0, str(Path(__file__).parent))


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
def registry() -> Iterator[testing.LocalRegistry]:
    try:
        started = testing.LocalRegistry().__enter__()
    except testing.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        started.__exit__()
