from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail.cli.application import run
from dovetail.planning.code import source

FLOW = '''
from typing import Annotated

from dovetail import log_metrics, pipeline, step

FACTOR = 2


@step
def numbers(count: int) -> Annotated[list[int], "numbers"]:
    print(f"making {count} numbers")
    return list(range(count))


@step
def scaled(numbers: list[int], factor: int) -> Annotated[list[int], "scaled"]:
    return [number * factor * FACTOR for number in numbers]


@step
def total(scaled: list[int]) -> int:
    log_metrics({"total": sum(scaled)})
    return sum(scaled)


@pipeline
def adding(count: int = 3, factor: int = 1):
    total(scaled(numbers(count), factor))
'''

FAILING = '''
from dovetail import pipeline, step


def ratio(number):
    return 1 / number


@step
def divide(number: int) -> float:
    return ratio(number)


@step
def after(result: float) -> float:
    return result


@pipeline
def dividing(number: int = 0):
    after(divide(number))
'''


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a pipeline in `flow.py`; what importing it leaves in this process is undone."""
    for name in ("DOVETAIL_STACK", "DOVETAIL_PLUGINS", "DOVETAIL_QUIET", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOVETAIL_PROJECT", "")
    monkeypatch.setenv("DOVETAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "project"
    (root / ".dovetail").mkdir(parents=True)
    (root / ".dovetail" / "project.yaml").write_text("name: p\n")
    (root / "flow.py").write_text(FLOW)
    (root / "failing.py").write_text(FAILING)
    monkeypatch.chdir(root)
    for name in ("path", "argv", "meta_path"):
        monkeypatch.setattr(sys, name, [*getattr(sys, name)])
    monkeypatch.setattr(source, "_pinned", {})
    importlib.invalidate_caches()
    yield root
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs one command line in this process."""

    def call(*arguments: str) -> Said:
        code = run(arguments)
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def does(cli: Callable[..., Said]) -> Callable[..., Said]:
    """Runs one command line that has to succeed."""

    def call(*arguments: str) -> Said:
        said = cli(*arguments)
        assert said.code == 0, said
        return said

    return call


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """One command line in a process of its own."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, env={**os.environ}, **options)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from dovetail.cli import main; main()", *arguments]


def edit(file: Path, before: str, after: str) -> None:
    """As an editor does; the size changes, so that no bytecode of the same second is taken for it."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after) + "\n#\n")
