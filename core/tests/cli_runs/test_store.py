"""`dovetail store …`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client

from .conftest import process

Cli = Callable[..., Any]


@pytest.fixture
def store(project: Path) -> Path:
    return project / ".dovetail" / "store"


def aged(store: Path, days: float) -> None:
    """As if everything had been written so many days earlier."""
    moment = time.time() - days * 86_400
    for path in store.rglob("*"):
        if "used" in path.parts and path.is_file():
            path = path.rename(path.with_name("2001-01-01"))
        os.utime(path, (moment, moment))
    for entry in store.glob("cache/*/*/*.json"):
        entry.write_text(json.dumps({**json.loads(entry.read_text()), "at": moment}))
        os.utime(entry, (moment, moment))


def test_a_sound_store_says_so(does: Cli) -> None:
    does("run", "flow.py")
    said = does("store", "verify")
    assert said.out == ""
    assert "and 3 artifacts with" in said.err
    assert "Everything is what was written" in said.err
    assert json.loads(does("store", "verify", "--output", "json").out)["findings"] == []


def test_damage_is_told_with_exit_code_1_and_repaired_on_demand(cli: Cli, does: Cli, store: Path) -> None:
    does("run", "flow.py")
    record = next(store.glob("runs/*/*/steps/total/outcome.json"))
    record.write_text("{")
    said = cli("store", "verify")
    assert said.code == 1
    assert "total/outcome.json cannot be read" in said.out
    assert "--repair" in said.err
    said = cli("store", "verify", "--repair")
    assert f"moved to damaged/{record.relative_to(store)}" in said.out
    assert not record.exists()


def test_gc_says_what_it_would_delete_then_deletes_it(does: Cli, store: Path) -> None:
    does("run", "flow.py")
    assert "There is nothing to delete." in does("store", "gc").err
    does("runs", "delete", "latest", "--yes")
    aged(store, 40)
    would = does("store", "gc", "--dry-run")
    assert would.out.startswith("Would delete 3 artifacts (")
    assert "1 code package (" in would.out
    assert "3 cache entries (" in would.out
    assert len(list(store.glob("artifacts/*/manifest.json"))) == 3
    assert does("store", "gc").out == would.out.replace("Would delete", "Deleted")
    assert not list(store.glob("artifacts/*/manifest.json"))
    assert process("run", "flow.py").returncode == 0
    assert Client().list_runs()[0].status == "completed"
    does("store", "verify")


def test_gc_as_data_lists_everything_with_bytes(does: Cli, store: Path) -> None:
    does("run", "flow.py")
    does("runs", "delete", "latest", "--yes")
    aged(store, 40)
    data = json.loads(does("store", "gc", "--dry-run", "--output", "json").out)
    assert data["deleted"] is False
    assert data["bytes"] == sum(each["bytes"] for each in data["garbage"]) > 0
    assert {each["kind"] for each in data["garbage"]} == {"artifact", "code package", "cache entry"}


def test_gc_is_refused_while_a_record_cannot_be_read(cli: Cli, does: Cli, store: Path) -> None:
    does("run", "flow.py")
    next(store.glob("runs/*/*/plan.json")).write_text("{")
    said = cli("store", "gc")
    assert said.code == 1
    assert "Nothing is deleted while it cannot be told what a record keeps." in said.err


def test_the_index_can_be_built_anew_and_lost_at_any_moment(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    does("run", "flow.py")
    assert "The index holds 2 runs of stack 'default'." in does("store", "reindex").err
    before = does("runs", "list", "--output", "json").out
    for path in (project.parent / "cache").glob("index.sqlite*"):
        path.write_bytes(b"not a database")
    assert does("runs", "list", "--output", "json").out == before
    assert "The index holds 2 runs" in does("store", "reindex").err


def test_a_newer_store_is_refused_by_every_command_with_the_cure(cli: Cli, does: Cli, store: Path) -> None:
    does("run", "flow.py")
    (store / "format.json").write_text(json.dumps({"store": "x", "layout": 99, "hash": "blake3"}))
    for command in (("run", "flow.py"), ("plan", "flow.py"), ("runs", "list"), ("artifacts", "list"), ("models", "list"), ("store", "verify"), ("store", "gc")):
        said = cli(*command)
        assert (command, said.code, said.out) == (command, 1, "")
        assert "Upgrade it: pip install --upgrade dovetail." in said.err
