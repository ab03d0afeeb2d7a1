"""`dovetail cache explain`: why a step ran or was cached."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client

from .conftest import edit

Cli = Callable[..., Any]


def differences(said: Any) -> list[str]:
    return [line.strip()[2:] for line in said.lines if line.startswith("  - ")]


def test_the_first_run_of_a_step_says_so(does: Cli) -> None:
    does("run", "flow.py")
    said = does("cache", "explain", "latest", "total")
    assert said.lines[0].endswith(": completed")
    assert said.lines[1:] == ["It had not run before in pipeline 'adding'."]


def test_a_cached_step_names_the_run_and_what_it_had_asked(does: Cli, project: Path) -> None:
    (project / "data.csv").write_text("1\n")
    edit(project / "flow.py", "return list(range(count))", "return [int(__import__('pathlib').Path('data.csv').read_text())] * count")
    does("run", "flow.py")
    first = Client().list_runs()[0].name
    does("run", "flow.py")
    said = does("cache", "explain", "latest", "numbers")
    assert said.lines[1] == f"Nothing that it depends on has changed since run {first}, whose result it took."
    assert "the file data.csv" in differences(said)


@pytest.mark.parametrize(
    ("before", "after", "step", "expected"),
    [
        ("FACTOR = 2", "FACTOR = 3", "scaled", ["code flow:FACTOR changed"]),
        ("range(count)", "range(0, count)", "numbers", ["code flow:numbers changed"]),
        ("return sum(scaled)", "return helper(scaled)\n\n\ndef helper(x):\n    return sum(x)", "total", ["code flow:helper is new", "code flow:total changed"]),
    ],
)
def test_changed_code_is_a_diff_by_part(does: Cli, project: Path, before: str, after: str, step: str, expected: list[str]) -> None:
    does("run", "flow.py")
    edit(project / "flow.py", before, after)
    does("run", "flow.py")
    assert differences(does("cache", "explain", "latest", step)) == expected


def test_changed_parameters_and_inputs_are_told_with_both(does: Cli) -> None:
    does("run", "flow.py")
    does("run", "flow.py", "--param", "count=5")
    assert differences(does("cache", "explain", "latest", "numbers")) == ["parameter count changed from 3 to 5"]
    (line,) = differences(does("cache", "explain", "latest", "scaled"))
    assert line.startswith("input numbers changed from numbers v1 (")
    assert " to numbers v2 (" in line


def test_a_changed_file_that_the_step_reads_is_told(does: Cli, project: Path) -> None:
    (project / "data.csv").write_text("1\n")
    edit(project / "flow.py", "return list(range(count))", "return [int(__import__('pathlib').Path('data.csv').read_text())] * count")
    does("run", "flow.py")
    (project / "data.csv").write_text("22\n")
    does("run", "flow.py")
    assert differences(does("cache", "explain", "latest", "numbers")) == ["the file data.csv changed"]


def test_the_comparison_is_with_the_run_in_which_it_last_ran(does: Cli) -> None:
    does("run", "flow.py", "--name", "ran")
    does("run", "flow.py", "--name", "cached")
    does("run", "flow.py", "--param", "factor=2")
    assert "than in run ran." in does("cache", "explain", "latest", "scaled").out


def test_a_step_whose_caching_is_off_says_so(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "@step\ndef total", "@step(enable_cache=False)\ndef total")
    does("run", "flow.py")
    assert "It runs every time: caching is off." in does("cache", "explain", "latest", "total").out


def test_a_step_that_failed_before_had_no_result_to_take(cli: Cli, does: Cli, project: Path) -> None:
    edit(project / "failing.py", "return ratio(number)", "return ratio(number) if __import__('pathlib').Path('number').read_text() else 1.0")
    (project / "number").write_text("x")
    cli("run", "failing.py")
    cli("run", "failing.py")
    assert "It failed in run" in does("cache", "explain", "latest", "divide").out


def test_a_step_that_never_ran_says_why(does: Cli, cli: Cli) -> None:
    cli("run", "failing.py")
    assert "It did not run: step 'divide' failed." in does("cache", "explain", "latest", "after").out


def test_no_cache_leaves_the_reason_to_be_told(does: Cli) -> None:
    does("run", "flow.py")
    does("run", "flow.py", "--no-cache")
    assert "It runs every time: caching is off." in does("cache", "explain", "latest", "total").out
    does("run", "flow.py", "--param", "factor=8")
    does("run", "flow.py", "--param", "factor=8", "--no-cache")
    does("run", "flow.py", "--param", "factor=8")
    assert "Nothing that it depends on has changed" in does("cache", "explain", "latest", "total").out


def test_a_result_that_was_collected_is_said_to_be_gone(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    digest = Client().list_runs()[0].steps["total"].outputs["output"].digest
    (project / ".dovetail" / "store" / "artifacts" / digest / "manifest.json").unlink()
    does("run", "flow.py")
    assert "but its result was not there any more" in does("cache", "explain", "latest", "total").out


def test_an_explanation_is_data(does: Cli) -> None:
    does("run", "flow.py", "--name", "first")
    does("run", "flow.py", "--param", "factor=4", "--name", "second")
    said = json.loads(does("cache", "explain", "second", "scaled", "--output", "json").out)
    assert said == {
        "run": "second",
        "step": "scaled",
        "status": "completed",
        "because": "What it depends on was otherwise than in run first.",
        "against": "first",
        "differences": ["parameter factor changed from 1 to 4"],
        "asked": [],
    }


def test_a_step_or_run_that_is_not_there_is_answered_with_near_names(cli: Cli, does: Cli) -> None:
    does("run", "flow.py")
    assert "There is no step 'totl'. Did you mean 'total'?" in cli("cache", "explain", "latest", "totl").err
    assert cli("cache", "explain", "nope", "total").code == 2


def test_a_step_that_was_taken_over_by_a_resuming_run_says_so(cli: Cli, does: Cli, project: Path) -> None:
    edit(project / "failing.py", "    after(divide(number))", "    after(divide(one()))")
    edit(project / "failing.py", "@pipeline", "@step\ndef one() -> int:\n    return 0\n\n\n@pipeline")
    cli("run", "failing.py", "--name", "broken")
    cli("runs", "resume", "broken")
    assert "Its result was taken over from run broken, which this run resumes." in does("cache", "explain", "latest", "one").out
    does("runs", "delete", "broken", "--yes")
    assert "which this run resumes." in does("cache", "explain", "latest", "one").out


def test_a_step_that_ran_uncached_before_left_nothing_to_take(does: Cli) -> None:
    does("run", "flow.py", "--no-cache", "--name", "uncached")
    does("run", "flow.py")
    assert "Caching was off in run uncached, so it left no result to take." in does("cache", "explain", "latest", "total").out


def test_other_outputs_are_told(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    edit(project / "flow.py", 'Annotated[list[int], "scaled"]', 'Annotated[list[int], "sized"]')
    does("run", "flow.py")
    assert "its outputs' names changed" in differences(does("cache", "explain", "latest", "scaled"))


def test_another_cache_key_is_told(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "@step\ndef total", "@step(cache_key=1)\ndef total")
    does("run", "flow.py")
    edit(project / "flow.py", "cache_key=1", "cache_key=22")
    does("run", "flow.py")
    assert differences(does("cache", "explain", "latest", "total")) == ["cache_key= changed"]


def test_what_a_cache_key_function_gave_is_what_is_left(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "@step\ndef numbers", "def key(count):\n    return open_key()\n\n\n@step(cache_key=key)\ndef numbers")
    edit(project / "flow.py", "FACTOR = 2", "FACTOR = 2\n\n\ndef open_key():\n    import pathlib\n    return pathlib.Path('key').read_text()\n")
    (project / "key").write_text("a")
    does("run", "flow.py")
    (project / "key").write_text("b")
    does("run", "flow.py")
    assert "what cache_key= gave" in does("cache", "explain", "latest", "numbers").out


def test_another_python_is_told(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    header = next((project / ".dovetail" / "store" / "runs").glob("*/*/run.json"))
    header.write_text(json.dumps({**json.loads(header.read_text()), "python": "3.9.1"}))
    does("run", "flow.py", "--param", "count=4")
    (line,) = [line for line in differences(does("cache", "explain", "latest", "numbers")) if "Python" in line]
    assert line.startswith("Python changed from 3.9 to 3.")


def test_a_run_whose_plan_is_gone_still_explains_by_inputs(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    next((project / ".dovetail" / "store" / "runs").glob("*/*/plan.json")).unlink()
    does("run", "flow.py", "--param", "count=4")
    assert "parameter count changed from 3 to 4" in differences(does("cache", "explain", "latest", "numbers"))
