"""The new component type where users meet it: commands, stack files and runs of the real `dovetail`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Dovetail = Callable[..., subprocess.CompletedProcess[str]]
PIPELINE = '''
from typing import Annotated

from dovetail import pipeline, step


@step
def numbers(count: int) -> Annotated[list[int], "numbers"]:
    return list(range(count))


@pipeline
def counting(count: int = 3):
    numbers(count)
'''
STACK = """
name: {name}
components:
  orchestrator:   {{flavor: local, name: here}}
  artifact_store: {{flavor: local, name: store, configuration: {{path: ./store}}}}
  data_catalog:   {{flavor: file, name: docs, configuration: {{path: ./docs, {field}: Our data}}}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".dovetail").mkdir(parents=True)
    (tmp_path / "project" / ".dovetail" / "project.yaml").write_text("name: catalogued\n", encoding="utf-8")
    (tmp_path / "project" / "counting.py").write_text(PIPELINE, encoding="utf-8")
    return tmp_path / "project"


@pytest.fixture
def dovetail(tmp_path: Path, project: Path) -> Dovetail:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DOVETAIL_") and name != "CI"}
    environ |= {"DOVETAIL_HOME": str(tmp_path / "home"), "DOVETAIL_CACHE": str(tmp_path / "cache")}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("dovetail")), *arguments]
        done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def catalogued(folder: Path) -> list[tuple[str, int]]:
    lines = (folder / "catalog.jsonl").read_text(encoding="utf-8").splitlines()
    return [(entry["name"], entry["version"]) for entry in map(json.loads, lines)]


def test_the_type_has_commands_of_its_own(dovetail: Dovetail) -> None:
    dovetail("data-catalog", "register", "wiki", "--flavor", "file", "--path", "./wiki", "--title", "Our data")
    (row,) = json.loads(dovetail("data-catalog", "list", "--output", "json").stdout)
    assert (row["name"], row["flavor"], row["configuration"]["title"]) == ("wiki", "file", "Our data")
    assert "path" in dovetail("data-catalog", "flavors", "file").stdout
    assert "--only" in dovetail("data-catalog", "register", "--flavor", "file", "--help").stdout
    dovetail("data-catalog", "update", "wiki", "--title", "All data")
    assert "All data" in dovetail("data-catalog", "describe", "wiki").stdout
    dovetail("data-catalog", "delete", "wiki")
    assert json.loads(dovetail("data-catalog", "list", "--output", "json").stdout) == []


def test_a_stack_is_registered_with_one_and_its_runs_publish_to_it(dovetail: Dovetail, project: Path) -> None:
    dovetail("data-catalog", "register", "wiki", "--flavor", "file", "--path", "./wiki")
    dovetail("stack", "register", "told", "-o", "default", "-a", "default", "--data-catalog", "wiki")
    dovetail("run", "counting.py", "--stack", "told")
    assert catalogued(project / "wiki") == [("numbers", 1)]
    dovetail("run", "counting.py", "--stack", "told", "--param", "count=5")
    dovetail("run", "counting.py", "--stack", "told", "--param", "count=5")
    assert catalogued(project / "wiki") == [("numbers", 1), ("numbers", 2)]


def test_a_stack_file_may_have_one(dovetail: Dovetail, project: Path) -> None:
    (project / "told.yaml").write_text(STACK.format(name="told", field="title"), encoding="utf-8")
    dovetail("stack", "apply", "told.yaml")
    dovetail("stack", "check", "told")
    dovetail("run", "counting.py", "--stack", "told", "--detach")
    until = time.monotonic() + 30
    while not (project / "docs" / "catalog.md").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (project / "docs" / "catalog.md").read_text(encoding="utf-8").startswith("# Our data\n")
    assert catalogued(project / "docs") == [("numbers", 1)]


def test_a_wrong_field_in_a_stack_file_is_told_with_the_nearest(dovetail: Dovetail, project: Path) -> None:
    (project / "told.yaml").write_text(STACK.format(name="told", field="titel"), encoding="utf-8")
    assert "title" in dovetail("stack", "apply", "told.yaml", code=2).stderr


def test_a_stack_without_one_publishes_nothing(dovetail: Dovetail, project: Path) -> None:
    done = dovetail("run", "counting.py")
    assert "data-catalog" not in done.stderr
    assert not (project / "catalog").exists()
