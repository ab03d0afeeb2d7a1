from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dovetail.cli.application import run

ACME = Path(__file__).parents[1] / "acme"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which the command line runs, with Acme's plugin installed."""
    for name in ("DOVETAIL_STACK", "DOVETAIL_PROJECT", "DOVETAIL_PLUGINS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOVETAIL_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(ACME))
    root = tmp_path / "project"
    (root / ".dovetail").mkdir(parents=True)
    (root / ".dovetail" / "project.yaml").write_text("name: p\n")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs one command line."""

    def call(*arguments: str) -> Said:
        code = run(arguments)
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def does(cli: Callable[..., Said]) -> Callable[..., str]:
    """Runs one command line that has to succeed, and returns what it printed."""

    def call(*arguments: str) -> str:
        said = cli(*arguments)
        assert said.code == 0, said
        return said.out

    return call
