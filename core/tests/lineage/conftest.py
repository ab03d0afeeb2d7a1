from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from dovetail import ExternalArtifact, Model, log_metrics, pipeline, step
from dovetail.client.lineage import Lineage, LineageArtifact, LineageStep


@step
def read(rows: int) -> Annotated[list[int], "rows"]:
    return list(range(rows))


@step
def weights() -> Annotated[dict[str, float], "weights"]:
    return {"a": 0.5}


@step
def split(rows: list[int]) -> tuple[Annotated[list[int], "left"], Annotated[list[int], "right"]]:
    return rows[::2], rows[1::2]


@step
def check(rows: list[int], fail: bool) -> None:
    if fail:
        raise ValueError("too many <rows> & more")


@step
def train(left: list[int], weights: dict[str, float], known: list[int]) -> Annotated[float, "model"]:
    log_metrics({"loss": 0.25})
    return sum(left) * weights["a"] + len(known)


@step
def square(row: int) -> int:
    return row * row


@step
def total(squares: list[int], model: float) -> float:
    return sum(squares) + model


@pipeline(model=Model("m"))
def study(rows: int = 6, fail: bool = False) -> None:
    found = read(rows)
    check(found, fail)
    left, _right = split.with_options(after=["check"])(found)
    total(square.map(found), train(left, weights(), ExternalArtifact([7, 7])))


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


def made(*edges: tuple[str, str]) -> Lineage:
    """A lineage of steps that each give one output, from pairs of producer and taker; names sort in an order that runs."""
    names = sorted({name for edge in edges for name in edge}, key=lambda name: (len(name), name))
    takes: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for above, below in dict.fromkeys(edges):
        takes[below].append((above, "output"))
    steps = {name: LineageStep(name, "completed", 1.0, tuple(takes[name]), gives=((name, "output"),)) for name in names}
    artifacts = {(name, "output"): LineageArtifact(name, "output", f"p.{name}.output", 1, "builtins:int", 3, "d" * 64) for name in names}
    return Lineage("0" * 26, "a run", "p", "default", "completed", 2.0, steps, artifacts)
