"""`dovetail plan`: what would run, and what of it has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dovetail import Client

from .conftest import edit

Cli = Callable[..., Any]


def decisions(said: Any) -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in said.lines[1:] if line.startswith("  ") and not line.startswith("   ")}


def test_a_plan_runs_nothing_and_records_nothing(does: Cli) -> None:
    assert decisions(does("plan", "flow.py")) == {"numbers": "run", "scaled": "later", "total": "later"}
    assert Client().list_runs() == []
    does("run", "flow.py")
    said = does("plan", "flow.py")
    assert decisions(said) == {"numbers": "cached", "scaled": "cached", "total": "cached"}
    assert said.lines[-2] == "3 steps: 3 cached."
    assert len(Client().list_runs()) == 1


def test_a_changed_parameter_is_told_with_both_values(does: Cli) -> None:
    does("run", "flow.py")
    said = does("plan", "flow.py", "--param", "factor=5")
    assert decisions(said) == {"numbers": "cached", "scaled": "run", "total": "later"}
    assert f"changed since run {Client().list_runs()[0].name}:" in said.out
    assert "- parameter factor changed from 1 to 5" in said.out


def test_changed_code_is_told_by_name_and_only_where_it_is_reached(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    edit(project / "flow.py", "FACTOR = 2", "FACTOR = 3")
    said = does("plan", "flow.py")
    assert decisions(said) == {"numbers": "cached", "scaled": "run", "total": "later"}
    assert [line.strip() for line in said.lines if line.strip().startswith("-")] == ["- code flow:FACTOR changed"]


def test_a_step_that_is_decided_later_tells_what_changed_already(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    edit(project / "flow.py", "list(range(count))", "list(range(0, count))")
    edit(project / "flow.py", "return sum(scaled)", "return 0 + sum(scaled)")
    said = does("plan", "flow.py")
    assert "decided when 'scaled' has run; changed already since run" in said.out
    assert "- code flow:total changed" in said.out


def test_an_edited_comment_changes_nothing(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    edit(project / "flow.py", "FACTOR = 2", "FACTOR = 2  # twice")
    assert set(decisions(does("plan", "flow.py")).values()) == {"cached"}


def test_a_plan_is_data(does: Cli) -> None:
    plan = json.loads(does("plan", "flow.py", "--output", "json").out)
    assert [step["node"]["invocation"] for step in plan["steps"]] == ["numbers", "scaled", "total"]
    assert plan["stack"]["name"] == "default"
    assert plan["steps"][0]["decision"] == "run"


def test_what_could_not_start_is_told_in_the_plan_with_exit_code_1(cli: Cli, project: Path) -> None:
    edit(project / "flow.py", "@step\ndef total", "@step(experiment_tracker=True, resources=Resources(gpu=4))\ndef total")
    edit(project / "flow.py", "from dovetail import ", "from dovetail import Resources, ")
    said = cli("plan", "flow.py")
    assert said.code == 1
    assert "It could not start; 2 problems:" in said.out
    assert "  1. Step 'total' asks for the experiment tracker" in said.out
    assert "resources.gpu" in said.out


def test_a_note_of_several_steps_is_told_once(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "total(scaled(numbers(count), factor))", "numbers(1)\n    numbers(2)\n    numbers(3)")
    said = does("plan", "flow.py")
    assert len([line for line in said.lines if line.startswith("Note: steps 'numbers', 'numbers_2', 'numbers_3':")]) == 1


def test_a_long_list_of_differences_is_cut(does: Cli, project: Path) -> None:
    constants = "\n".join(f"C{number} = {number}" for number in range(20))
    used = " + ".join(f"C{number}" for number in range(20))
    edit(project / "flow.py", "FACTOR = 2", f"FACTOR = 2\n{constants}")
    edit(project / "flow.py", "list(range(count))", f"list(range(count + 0 * ({used})))")
    does("run", "flow.py")
    for number in range(20):
        edit(project / "flow.py", f"C{number} = {number}\n", f"C{number} = {number + 100}\n")
    said = does("plan", "flow.py")
    assert "- and 8 more" in said.out
