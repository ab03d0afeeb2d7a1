"""`dovetail demo`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client
from dovetail.cli.demo import flowers

from .conftest import process

Cli = Callable[..., Any]


def test_the_demo_shows_a_run_a_cached_run_a_plan_and_the_lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOVETAIL_PROJECT")
    done = process("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    for shown in (
        "$ dovetail run flowers.py",
        "report    done",
        "report    cached",
        "- parameter smoothing changed from 0.1 to 5.0",
        "↳ portraits v2",
        "production",
        "The folder dovetail-demo is yours:",
    ):
        assert shown in told
    assert (tmp_path / "dovetail-demo" / ".dovetail" / "store").is_dir()
    assert not (tmp_path / "home").exists(), "nothing lies outside the folder"


def test_the_demo_again_runs_what_lies_there_and_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOVETAIL_PROJECT")
    assert process("--quiet", "demo", "d", cwd=tmp_path).returncode == 0
    file = tmp_path / "d" / "flowers.py"
    file.write_text(file.read_text().replace("never seen before", "not seen before"))
    done = process("--quiet", "demo", "d", cwd=tmp_path)
    assert "not seen before" in done.stdout
    assert "not seen before" in file.read_text()


def test_the_demo_does_not_touch_a_folder_with_other_files(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("x")
    said = cli("demo", str(folder))
    assert said.code == 2
    assert "holds other files. Name another: dovetail demo FOLDER." in said.err
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_the_demo_needs_nothing_but_python_and_dovetail() -> None:
    tree = ast.parse(Path(flowers.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"__future__", "csv", "math", "statistics", "collections.abc", "pathlib", "typing", "dovetail"}


def test_the_demos_steps_are_plain_functions_that_tell_irises_apart() -> None:
    every = flowers.read()
    training, held_out = flowers.split(every, 0.6)
    assert (len(every), len(training), len(held_out)) == (150, 90, 60)
    portraits = {species: flowers.portrait_of([f for f in training if f["species"] == species], 0.1) for species in ("setosa", "versicolor", "virginica")}
    right = sum(flowers.species_of(flower, portraits) == flower["species"] for flower in held_out)
    assert right / len(held_out) > 0.9


def test_the_demos_pipeline_promotes_the_better_model_and_keeps_it() -> None:
    quiet = flowers.flowers.with_options(quiet=True)
    first, worse = quiet(), quiet(smoothing=5.0)
    assert "now in production" in first.steps["report"].outputs["report"].load()
    assert "not in production" in worse.steps["report"].outputs["report"].load()
    assert Client().get_model_version("iris", "production").version == first.models["iris"]
    assert worse.steps["evaluate"].metrics["accuracy"] < first.steps["evaluate"].metrics["accuracy"]
