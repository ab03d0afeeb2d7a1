from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, Model, pipeline, step
from dovetail.client.views import Run
from dovetail.ledger.ledger import Ledger

DAY = 86_400.0
IN_THREE_WEEKS = time.time() + 21 * DAY
IN_SIX_WEEKS = time.time() + 42 * DAY


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def squares(number: int) -> int:
    return number * number


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@pipeline
def adding(count: int = 3) -> None:
    total(numbers(count))


@pipeline
def mapping(count: int = 3) -> None:
    total(squares.map(numbers(count)))


@pipeline(model=Model("sums"))
def modelling(count: int = 3) -> None:
    total(numbers(count))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders of their own, and a working folder that is no project."""
    monkeypatch.setenv("DOVETAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DOVETAIL_QUIET", "1")
    monkeypatch.delenv("DOVETAIL_STACK", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Path:
    return home / "store"


def ledger() -> Ledger:
    """Read afresh, as another process would."""
    return Client().ledger


def run(made: Any, **parameters: Any) -> Run:
    return made(**parameters)


def digests(run: Run) -> set[str]:
    return {artifact.digest for step_run in run.steps.values() for artifact in step_run.outputs.values()}


@pytest.fixture
def bucket(home: Path, tmp_path: Path) -> str:
    """The name of a stack whose store is not a local folder."""
    (home / "stacks").mkdir(parents=True)
    (home / "stacks" / "away.yaml").write_text(
        f"""
components:
  orchestrator: {{type: local, name: o}}
  artifact_store: {{type: memory, name: m, configuration: {{bucket: "{tmp_path.name}"}}}}
"""
    )
    return "away"
