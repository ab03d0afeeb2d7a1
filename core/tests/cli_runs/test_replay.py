"""`dovetail replay`, with and without a debugger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client

from .conftest import edit, process

Cli = Callable[..., Any]


@pytest.fixture
def failed(cli: Cli) -> Any:
    cli("run", "failing.py")
    return Client().list_runs()[0]


@pytest.fixture
def completed(does: Cli) -> Any:
    does("run", "flow.py")
    return Client().list_runs()[0]


def test_a_replayed_step_shows_its_value_and_whether_it_is_as_in_the_run(completed: Any) -> None:
    done = process("replay", "latest", "scaled")
    assert done.returncode == 0, done.stderr
    assert f"Replaying step 'scaled' of run {completed.name}, which completed, with its own inputs and code. Nothing is recorded." in done.stderr
    assert done.stdout.splitlines()[0] == "[0, 2, 4]"
    assert done.stdout.splitlines()[-1].split() == ["scaled", "builtins:list", completed.steps["scaled"].outputs["scaled"].digest[:12], "yes"]
    assert len(Client().list_runs()) == 1


def test_it_is_the_runs_code_that_is_replayed(completed: Any, project: Path) -> None:
    edit(project / "flow.py", "number * factor * FACTOR", "99")
    assert process("replay", "latest", "scaled").stdout.splitlines()[0] == "[0, 2, 4]"


def test_a_replayed_failure_shows_the_steps_own_frames(failed: Any) -> None:
    done = process("replay", "latest", "divide")
    assert done.returncode == 1
    assert 'failing.py", line 6, in ratio' in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "Add --pdb to look around where it failed." in done.stderr
    assert "dovetail/execution" not in done.stderr


def test_pdb_stops_at_the_failing_line_of_a_failed_step(failed: Any) -> None:
    done = process("replay", "latest", "divide", "--pdb", input="p number\nup\np number + 40\nw\nq\n")
    assert done.returncode == 1
    assert "failing.py(6)ratio()" in done.stdout
    assert "-> return 1 / number" in done.stdout
    assert "(Pdb) 0\n" in done.stdout
    assert "failing.py(11)divide()" in done.stdout
    assert "(Pdb) 40\n" in done.stdout
    assert "replaying.py" not in done.stdout, "the stack begins at the step"


def test_pdb_shows_the_code_that_ran_not_what_the_file_says_now(failed: Any, project: Path) -> None:
    (project / "failing.py").write_text("# nothing here any more\n" * 30)
    done = process("replay", "latest", "divide", "--pdb", input="l\nq\n")
    assert "-> return 1 / number" in done.stdout
    assert "nothing here any more" not in done.stdout


def test_pdb_starts_at_the_first_line_of_a_step_that_completed(completed: Any) -> None:
    done = process("replay", "latest", "scaled", "--pdb", input="p factor\nc\n")
    assert done.returncode == 0, done.stderr
    assert "flow.py(17)scaled()" in done.stdout
    assert "(Pdb) 1\n" in done.stdout
    assert "[0, 2, 4]" in done.stdout


def test_leaving_the_debugger_ends_the_replay(completed: Any) -> None:
    done = process("replay", "latest", "scaled", "--pdb", input="q\n")
    assert done.returncode == 0
    assert "as in the run" not in done.stdout.lower()
    assert "Traceback" not in done.stderr


def test_what_cannot_be_replayed_is_one_sentence(failed: Any) -> None:
    for step, sentence in (
        ("after", "Step 'after' never ran, because step 'divide' failed, and its input 'result' was never made, so it cannot be replayed."),
        ("divdie", "There is no step 'divdie'. Did you mean 'divide'?"),
    ):
        done = process("replay", "latest", step)
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr


def test_damaged_input_is_one_sentence(completed: Any, project: Path) -> None:
    digest = completed.steps["numbers"].outputs["numbers"].digest
    file = next((project / ".dovetail" / "store" / "artifacts" / digest / "data").iterdir())
    file.chmod(0o644)
    file.write_text("[7]")
    done = process("replay", "latest", "scaled")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: Artifact ")
    assert "Traceback" not in done.stderr


def test_an_error_of_ours_that_the_step_raised_shows_the_steps_frames(does: Cli, cli: Cli, project: Path) -> None:
    (project / "asks.py").write_text(
        "from dovetail import Client, pipeline, step\n@step\ndef asks() -> int:\n    return Client().get_artifact('nowhere').version\n@pipeline\ndef asking():\n    asks()\n"
    )
    cli("run", "asks.py")
    done = process("replay", "latest", "asks")
    assert 'asks.py", line 4, in asks' in done.stderr
    assert "There is no artifact 'nowhere'." in done.stderr
