"""`dovetail run`: finding the pipeline, giving it parameters, telling what became of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client

from .conftest import command, edit, process

Cli = Callable[..., Any]


def last() -> Any:
    return Client().list_runs(limit=1)[0]


def test_a_program_gets_the_runs_id_and_a_person_the_progress(does: Cli) -> None:
    said = does("run", "flow.py")
    assert said.lines == ["making 3 numbers", last().id]
    assert f"{last().name} on stack 'default', 3 steps" in said.err
    assert "completed in" in said.err


def test_quiet_prints_the_id_alone(does: Cli) -> None:
    said = does("--quiet", "run", "flow.py")
    assert (said.lines[-1], said.err) == (last().id, "")


@pytest.mark.parametrize("target", ["flow.py", "flow", "flow.py:adding", "flow:adding", "./flow.py"])
def test_a_pipeline_is_found_by_file_and_by_module(does: Cli, target: str) -> None:
    does("run", target)
    assert last().pipeline == "adding"
    assert last().status == "completed"


def test_parameters_are_typed_by_their_annotations(does: Cli, project: Path) -> None:
    (project / "typed.py").write_text("""
import datetime, enum, pathlib
from typing import Any, Optional
from dovetail import pipeline, step
class Colour(enum.Enum):
    RED = "red"
@step
def show(what: Any) -> str:
    return repr(what)
@pipeline
def typed(i: int, f: float, b: bool, s: str, o: Optional[str], d: datetime.date, p: pathlib.Path, c: Colour, l: list[int], m: dict[str, float], a, n: Optional[int] = 1):
    show([i, f, b, s, o, str(d), str(p), c.value, l, m, a, n])
""")
    given = ["i=7", "f=1e3", "b=yes", "s=1.10", "o=no", "d=2026-03-01", "p=a/b", "c=red", "l=[1, 2]", "m={x: 1}", "a=true", "n=null"]
    does("run", "typed.py", *(argument for pair in given for argument in ("--param", pair)))
    shown = last().steps["show"].outputs["output"].load()
    assert shown == repr([7, 1000.0, True, "1.10", "no", "2026-03-01", "a/b", "red", [1, 2], {"x": 1.0}, True, None])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--param", "cuont=3"], "Pipeline 'adding' has no parameter 'cuont'. Did you mean 'count'?"),
        (["--param", "count=many"], "parameter 'count' is annotated int and was given 'many'"),
        (["--param", "count"], "--param count: write it as NAME=VALUE."),
        (["--stack", "defualt"], "There is no stack 'defualt'. Did you mean 'default'?"),
        (["--config", "nowhere.yaml"], "There is no run configuration nowhere.yaml."),
        (["--name", "a/b"], "The run name 'a/b' holds '/'"),
        (["--cache"], "No such option"),
    ],
)
def test_wrong_usage_is_one_sentence_with_exit_code_2_and_runs_nothing(cli: Cli, given: list[str], sentence: str) -> None:
    said = cli("run", "flow.py", *given)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert Client().list_runs() == []


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("flwo.py", "There is no file 'flwo.py'. Did you mean 'flow.py'?"),
        ("flo", "There is no module 'flo'. Did you mean"),
        ("no/where.py", "There is no folder"),
        ("flow.py:addnig", "There is no pipeline 'addnig'. Did you mean 'adding'? It was looked for in flow.py."),
        ("flow.py:numbers", "'numbers' in flow.py is no pipeline but a Step. Known: adding."),
        (".", "is a folder"),
        ("a b c", "There is no module 'a b c'."),
    ],
)
def test_a_target_that_is_not_there_is_answered_with_near_names(cli: Cli, target: str, sentence: str) -> None:
    said = cli("run", target)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


def test_the_call_at_module_level_is_what_runs_with_its_arguments(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "    total(scaled(numbers(count), factor))", "    total(scaled(numbers(count), factor))\n\n\nadding(5, factor=7)")
    does("run", "flow.py")
    assert last().parameters == {"count": 5, "factor": 7}
    does("run", "flow.py", "--param", "count=1")
    assert last().parameters == {"count": 1, "factor": 7}
    assert len(Client().list_runs()) == 2, "importing the file ran nothing by itself"


def test_what_stands_under_main_does_not_run(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "FACTOR = 2", "FACTOR = 2\nif __name__ == '__main__':\n    raise SystemExit('as a script')")
    does("run", "flow.py")


def test_several_calls_or_pipelines_are_named(cli: Cli, project: Path) -> None:
    (project / "two.py").write_text("from flow import adding, total\nfrom dovetail import pipeline\n@pipeline\ndef one(): total([1])\n@pipeline\ndef two(): total([2])\n")
    said = cli("run", "two.py")
    assert (said.code, said.err) == (2, "Error: two.py holds several pipelines: one, two. Say which one: two.py:one.\n")
    (project / "calls.py").write_text("from flow import adding\nadding(1)\nadding(2)\n")
    assert "calls.py calls pipelines 2 times: adding. Say which one: calls.py:adding." in cli("run", "calls.py").err


def test_an_imported_pipeline_counts_where_the_file_has_none_of_its_own(does: Cli, cli: Cli, project: Path) -> None:
    (project / "other.py").write_text("from flow import adding\n")
    does("run", "other.py")
    assert last().pipeline == "adding"
    (project / "empty.py").write_text("x = 1\n")
    assert "empty.py holds no pipeline." in cli("run", "empty.py").err


def test_code_that_cannot_be_imported_shows_where_without_our_frames(cli: Cli, project: Path) -> None:
    (project / "broken.py").write_text("import flow\n\ndef f():\n    return {}['key']\n\nf()\n")
    said = cli("run", "broken.py")
    assert said.code == 1
    assert 'broken.py", line 4, in f' in said.err
    assert said.err.rstrip().splitlines()[-1] == "Error: broken.py cannot be imported: KeyError: 'key'."
    assert "importlib" not in said.err
    assert "dovetail/cli" not in said.err


def test_a_wrong_definition_names_its_line(cli: Cli, project: Path) -> None:
    (project / "wrong.py").write_text("from dovetail import step\n\n@step(rety=3)\ndef f(): ...\n")
    said = cli("run", "wrong.py")
    assert said.code == 2
    assert "has no option 'rety'. Did you mean 'retry'?" in said.err
    assert "wrong.py, line 3)" in said.err


def test_a_file_named_like_a_loaded_module_is_refused(cli: Cli, project: Path) -> None:
    (project / "json.py").write_text("x = 1\n")
    assert "json.py has the name of the module 'json', which is in use already. Rename the file." in cli("run", "json.py").err
    (project / "a.b.py").write_text("x = 1\n")
    assert "its name holds a dot" in cli("run", "a.b.py").err


def test_a_file_of_a_package_says_how_to_run_it(cli: Cli, does: Cli, project: Path) -> None:
    package = project / "parcel"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from .tools import x\nfrom flow import adding\n")
    (package / "tools.py").write_text("x = 1\n")
    said = cli("run", "parcel/inner.py")
    assert f"It is part of a package: run `dovetail run parcel.inner` in {project}." in said.err
    does("run", "parcel.inner")


def test_a_script_of_another_folder_belongs_to_the_project_around_it(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.delenv("DOVETAIL_PROJECT")
    done = process("run", str(project / "flow.py"), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert (project / ".dovetail" / "store" / "runs").is_dir(), "its stacks and store are used"
    monkeypatch.chdir(project)
    assert any(label.startswith("flow:") for code in last().plan.codes.values() for label in code.parts)


def test_no_cache_runs_every_step(does: Cli) -> None:
    does("run", "flow.py")
    does("run", "flow.py")
    assert last().status == "cached"
    does("run", "flow.py", "--no-cache")
    assert {step.status.value for step in last().steps.values()} == {"completed"}


def test_name_tag_stack_and_configuration_reach_the_run(does: Cli, project: Path) -> None:
    does("stack", "copy", "default", "other")
    (project / "run.yaml").write_text("parameters: {count: 9}\ntags: [from-file]\n")
    does("run", "flow.py", "--name", "nightly", "--tag", "a", "--tag", "b", "--config", "run.yaml", "--stack", "other")
    run = Client("other").get_run("nightly")
    assert (run.stack, set(run.tags), run.parameters["count"]) == ("other", {"a", "b", "from-file"}, 9)


def test_a_failed_run_shows_the_steps_own_frames_and_one_sentence(cli: Cli) -> None:
    said = cli("run", "failing.py")
    assert said.code == 1
    assert "Step 'divide':" in said.err
    assert 'failing.py", line 6, in ratio' in said.err
    assert 'failing.py", line 11, in divide' in said.err
    assert "dovetail/execution" not in said.err
    sentence = said.err.rstrip().splitlines()[-1]
    assert sentence == (
        f"Error: Run {last().name} of pipeline 'dividing' failed. Step 'divide' failed: ZeroDivisionError: division by zero. "
        f"Look at it: dovetail runs show {last().id}."
    )


def test_debug_adds_the_frameworks_frames(cli: Cli) -> None:
    assert "dovetail/execution" in cli("--debug", "run", "failing.py").err


def test_a_preflight_problem_is_told_before_anything_runs(cli: Cli, project: Path) -> None:
    edit(project / "flow.py", "@step\ndef total", "@step(experiment_tracker=True)\ndef total")
    said = cli("run", "flow.py")
    assert said.code == 1
    assert "asks for the experiment tracker, and stack 'default' has none." in said.err
    assert Client().list_runs() == []


def test_a_warning_of_ours_is_a_sentence_and_others_are_shown_as_python_shows_them(project: Path) -> None:
    edit(project / "flow.py", "def total(scaled: list[int]) -> int:", "def total(scaled: list[int]):\n    import warnings; warnings.warn('mine')")
    done = process("run", "flow.py")
    assert "Warning: Step 'total' has no return annotation" in done.stderr
    assert "UserWarning: mine" in done.stderr
    assert "attempt.py" not in done.stderr


SLOW = """
import pathlib, time
from dovetail import pipeline, step
@step
def quick() -> int:
    return 1
@step
def slow(i: int, n: int) -> int:
    pathlib.Path(f"started-{n}").write_text("x")
    for _ in range(600):
        time.sleep(0.05)
    return i
@pipeline
def one():
    slow(quick(), 1)
@pipeline
def two():
    q = quick()
    slow(q, 1)
    slow(q, 2)
"""


@pytest.mark.parametrize(("pipeline", "files"), [("one", 1), ("two", 2)])
def test_ctrl_c_closes_the_run_as_cancelled_and_says_how_to_go_on(project: Path, pipeline: str, files: int) -> None:
    (project / "slow.py").write_text(SLOW)
    child = subprocess.Popen(command("run", f"slow.py:{pipeline}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while len(list(project.glob("started-*"))) < files:
        assert time.monotonic() < until
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    run = last()
    assert child.returncode == 130
    assert (run.status, run.steps["quick"].status, run.steps["slow"].status) == ("cancelled", "completed", "cancelled")
    assert f"Go on from here: dovetail runs resume {run.id}" in err
    assert "Traceback" not in err


def test_a_detached_run_goes_on_by_itself(project: Path) -> None:
    done = process("run", "flow.py", "--detach")
    assert done.returncode == 0, done.stderr
    run = Client().wait(done.stdout.strip(), timeout=30)
    assert run.status == "completed"
    assert f"dovetail runs logs {run.id} --follow" in done.stderr


def test_a_detached_run_that_no_process_could_import_is_refused_and_leaves_nothing(cli: Cli, project: Path) -> None:
    (project / "inner.py").write_text(
        "from dovetail import pipeline, step\ndef make():\n    @step\n    def inside() -> int:\n        return 1\n    return inside\ninside = make()\n@pipeline\ndef p():\n    inside()\n"
    )
    said = cli("run", "inner.py", "--detach")
    assert said.code == 2
    assert "was defined inside a function" in said.err
    assert Client().list_runs() == []


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_store_that_may_not_be_written_is_one_sentence(cli: Cli, project: Path) -> None:
    (project / ".dovetail").chmod(0o555)
    said = cli("run", "flow.py")
    (project / ".dovetail").chmod(0o755)
    assert said.code == 1
    assert "Traceback" not in said.err


def test_a_run_imports_neither_pydantic_nor_rich_nor_yaml(project: Path) -> None:
    code = (
        "import sys\nfrom dovetail.cli.application import run\nassert run(['run', 'flow.py']) == 0\n"
        "print([name for name in ('pydantic', 'rich', 'yaml', 'fsspec') if name in sys.modules])"
    )
    done = subprocess.run([command()[0], "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
