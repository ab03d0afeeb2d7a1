from __future__ import annotations

from pathlib import Path

import pytest

from dovetail import Client, pipeline, step
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.verifying import Verified, verify


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def double(number: int) -> int:
    return number * 2


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
def divide(number: int) -> float:
    return 1 / number


@pipeline
def failing() -> None:
    divide(0)


@pipeline
def adding(count: int = 3) -> None:
    total(double.map(numbers(count)))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


def verified(*, repair: bool = False) -> Verified:
    return verify(ledger(), repair=repair)


def kinds(found: Verified) -> list[tuple[str, str]]:
    return sorted((finding.kind, finding.path.rpartition("/")[2]) for finding in found.findings)
