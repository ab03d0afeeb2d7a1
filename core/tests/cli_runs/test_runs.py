"""`dovetail runs …`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client

from .conftest import command, edit, process

Cli = Callable[..., Any]


@pytest.fixture
def three(does: Cli, cli: Cli) -> list[Any]:
    """A completed run, one that took two steps from it, and a failed one, newest first."""
    does("run", "flow.py", "--tag", "first")
    does("run", "flow.py", "--param", "factor=3", "--name", "again")
    cli("run", "failing.py")
    return Client().list_runs()


def test_runs_are_listed_newest_first_with_ids_that_name_them(does: Cli, three: list[Any]) -> None:
    said = does("runs", "list")
    rows = [line.split() for line in said.lines[1:]]
    assert [three[number].id.startswith(row[0]) for number, row in enumerate(rows)] == [True, True, True]
    assert [row[1:3] for row in rows] == [["dividing", "failed"], ["adding", "completed"], ["adding", "completed"]]
    assert "3 (1 cached)" in said.lines[2]
    assert "again" in said.lines[2]
    assert "first" in said.lines[3]
    assert does("runs", "show", rows[2][0]).lines[0].startswith(three[2].name)


def test_a_list_is_data_with_everything_in_it(does: Cli, three: list[Any]) -> None:
    rows = json.loads(does("runs", "list", "--output", "json").out)
    assert [row["id"] for row in rows] == [run.id for run in three]
    assert rows[0]["steps"] == {"divide": "failed", "after": "skipped"}
    assert rows[1]["name"] == "again"
    assert rows[2]["tags"] == ["first"]
    assert "name: again" in does("runs", "list", "--output", "yaml").out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--pipeline", "adding"], [1, 2]),
        (["--status", "failed"], [0]),
        (["--tag", "first"], [2]),
        (["--limit", "1"], [0]),
        (["--pipeline", "adding", "-n", "1"], [1]),
        (["--since", "2000-01-01"], [0, 1, 2]),
    ],
)
def test_a_list_can_be_narrowed(does: Cli, three: list[Any], options: list[str], expected: list[int]) -> None:
    rows = json.loads(does("runs", "list", "--output", "json", *options).out)
    assert [row["id"] for row in rows] == [three[number].id for number in expected]


def test_an_empty_list_says_how_to_fill_it(does: Cli) -> None:
    assert "There are no runs yet; `dovetail run FILE` makes one." in does("runs", "list").err
    does("run", "flow.py")
    assert "No such runs." in does("runs", "list", "--pipeline", "nope").err


def test_all_asks_every_stacks_store_once(does: Cli, project: Path) -> None:
    stack = "components:\n  orchestrator: {type: local, name: o}\n  artifact_store: {type: local, name: a, configuration: {path: other-store}}\n"
    (project / "far.yaml").write_text(stack)
    does("stack", "apply", "far.yaml")
    does("stack", "copy", "default", "same-store")
    (project / ".dovetail" / "stacks" / "broken.yaml").write_text(stack.replace("type: local, name: o", "type: nope, name: o"))
    does("run", "flow.py")
    does("run", "flow.py", "--stack", "far")
    assert len(json.loads(does("runs", "list", "--output", "json").out)) == 1
    assert len(json.loads(does("runs", "list", "--stack", "far", "--output", "json").out)) == 1
    said = does("runs", "list", "--all", "--output", "json")
    assert [row["stack"] for row in json.loads(said.out)] == ["far", "default"]
    assert "STACK" in does("runs", "list", "--all").lines[0]


def test_a_list_is_read_without_heavy_libraries_and_within_its_budget(does: Cli, project: Path) -> None:
    does("run", "flow.py")
    code = (
        "import sys\nfrom dovetail.cli.application import run\nassert run(['runs', 'list']) == 0\n"
        "heavy = ('pydantic', 'rich', 'yaml', 'fsspec', 'dovetail.planning.planner', 'dovetail.execution.driver')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_run_that_cannot_be_read_is_told_of_and_hides_no_other(does: Cli, three: list[Any], project: Path) -> None:
    record = next((project / ".dovetail" / "store" / "runs").glob(f"*/{three[1].id}/finished.json"))
    record.write_text("{")
    for path in (project.parent / "cache").glob("index.sqlite*"):
        path.unlink()
    said = does("runs", "list")
    assert len(said.lines) == 3
    assert f"Run {three[1].id} cannot be read." in said.err
    assert "dovetail store verify --repair" in said.err


def test_a_run_is_named_by_id_beginning_name_or_latest(does: Cli, cli: Cli, three: list[Any]) -> None:
    for which in (three[1].id, three[1].id[:14], "again"):
        assert does("runs", "show", which).lines[1].split() == ["id:", three[1].id]
    assert three[0].id in does("runs", "show", "latest").out
    assert cli("runs", "show", "01").code == 2
    assert "There is no single run that begins with '01'." in cli("runs", "show", "01").err
    assert "There is no run 'agian'. Did you mean 'again'?" in cli("runs", "show", "agian").err


def test_latest_of_no_runs_says_how_to_make_one(cli: Cli) -> None:
    assert "Stack 'default' has none yet; `dovetail run FILE` makes one." in cli("runs", "show", "latest").err


def test_a_runs_page_tells_all_of_it(does: Cli, three: list[Any]) -> None:
    page = does("runs", "show", "again").out
    for told in ("completed in", "pipeline:    adding", "parameters:  ", "count = 3", "factor = 3", "metrics total = 18", "gave scaled:2", "with factor = 3"):
        assert told in page
    assert f"taken from run {three[2].name}" in page
    failed = does("runs", "show", "latest").out
    assert 'failing.py", line 6, in ratio' in failed
    assert "skipped" in failed
    assert "step 'divide' failed" in failed


def test_a_runs_page_is_data(does: Cli, three: list[Any]) -> None:
    page = json.loads(does("runs", "show", "again", "--output", "json").out)
    assert page["parameters"] == {"count": 3, "factor": 3}
    assert page["steps"]["scaled"]["inputs"] == {"numbers": "numbers:1"}
    assert page["steps"]["total"]["metrics"] == {"total": 18.0}
    assert page["steps"]["numbers"]["status"] == "cached"
    assert json.loads(does("runs", "show", "latest", "--output", "json").out)["steps"]["divide"]["error"]["type"] == "builtins:ZeroDivisionError"


def test_a_mapped_step_is_one_line_with_its_failed_children(cli: Cli, project: Path) -> None:
    (project / "mapped.py").write_text("""
from dovetail import pipeline, step
@step
def invert(number: int) -> float:
    return 1 / number
@step
def total(parts: list[float]) -> float:
    return sum(parts)
@pipeline(failure_policy="continue")
def mapped():
    total(invert.map([1, 0, 2, 4]))
""")
    cli("run", "mapped.py")
    lines = cli("runs", "show", "latest").out.splitlines()
    assert any("4 children: " in line and "3 completed" in line and "1 failed" in line for line in lines)
    assert [line.split()[0] for line in lines if line.strip().startswith("invert.")] == ["invert.1"]


def test_facts_of_a_run_need_no_plugin(does: Cli, project: Path, three: list[Any]) -> None:
    """The module of the step, and what is not built in, may have gone."""
    for name in ("flow.py", "failing.py"):
        (project / name).unlink()
    done = process("runs", "show", "again")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gave scaled:2" in done.stdout
    assert process("runs", "show", "again", "--graph").returncode == 0


def test_a_lineage_is_drawn_as_text_picture_and_page(does: Cli, three: list[Any], project: Path) -> None:
    drawn = does("runs", "show", "again", "--graph")
    assert "numbers  cached" in drawn.lines[0]
    assert "↳ scaled v2" in drawn.out
    said = does("runs", "show", "again", "--graph", "--svg", "a.svg", "--html", "a.html")
    assert said.out == ""
    assert (project / "a.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert "<svg " in (project / "a.html").read_text(encoding="utf-8")
    data = json.loads(does("runs", "show", "again", "--graph", "--output", "json").out)
    assert data["steps"]["total"]["takes"] == [1]
    assert data["artifacts"][1]["name"] == "scaled"


def test_a_terminal_without_unicode_gets_plain_letters(three: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = process("runs", "show", "again", "--graph")
    assert done.returncode == 0, done.stderr
    assert "o numbers  cached" in done.stdout
    assert "* total  completed" in done.stdout


# -- logs -----------------------------------------------------------------------------------------------------------------


def test_logs_are_printed_by_step_and_say_where_a_cached_step_printed(does: Cli, cli: Cli, three: list[Any]) -> None:
    assert does("runs", "logs", three[2].id).out == "--- numbers\nmaking 3 numbers\n"
    assert does("runs", "logs", three[2].id, "numbers").out == "making 3 numbers\n"
    said = does("runs", "logs", "again")
    assert said.lines == [f"--- numbers (cached; printed in run {three[2].name})", "making 3 numbers"]
    assert f"Every step of run {three[0].name} printed nothing." in does("runs", "logs", "latest").err
    assert "Step 'total' of run again printed nothing." in does("runs", "logs", "again", "total").err
    assert "There is no step 'numbres'. Did you mean 'numbers'?" in cli("runs", "logs", "again", "numbres").err


def test_the_log_of_a_deleted_run_is_missed_in_words(does: Cli, three: list[Any]) -> None:
    does("runs", "delete", three[2].id, "--yes")
    assert "was deleted" in does("runs", "logs", "again", "numbers").err


TICKING = """
import time
from dovetail import pipeline, step
@step
def tick() -> int:
    for number in range(30):
        print("tick", number, flush=True)
        time.sleep(0.1)
    return 1
@pipeline
def ticking():
    tick()
"""


def test_logs_follow_a_run_to_its_end(project: Path) -> None:
    (project / "ticking.py").write_text(TICKING)
    run_id = process("run", "ticking.py", "--detach").stdout.strip()
    with subprocess.Popen(command("runs", "logs", run_id, "--follow"), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline(), child.stdout.readline()
        assert first == ("--- tick\n", "tick 0\n")
        assert Client().finished(run_id) is None, "they come while it goes on"
        rest = child.stdout.read()
        assert child.wait(timeout=20) == 0
    assert [line.split()[1] for line in rest.splitlines()] == [str(number) for number in range(1, 30)]
    assert Client().get_run(run_id).status == "completed"


# -- cancel, resume, delete, compare --------------------------------------------------------------------------------------


def test_a_running_run_is_cancelled_and_resumed(project: Path, does: Cli, cli: Cli) -> None:
    (project / "ticking.py").write_text(TICKING.replace("range(30)", "range(600)"))
    run_id = process("run", "ticking.py", "--detach").stdout.strip()
    assert "still" in cli("runs", "resume", run_id).err or "has not ended" in cli("runs", "resume", run_id).err
    assert "cancelled." in does("runs", "cancel", run_id, "--wait").err
    assert Client().get_run(run_id).status == "cancelled"
    assert cli("runs", "cancel", run_id).code == 2


def test_resume_takes_over_what_is_done_and_does_the_rest_with_the_runs_own_code(cli: Cli, does: Cli, project: Path) -> None:
    flaky = """
import pathlib
from dovetail import pipeline, step
@step
def made() -> int:
    return 20
@step
def risky(n: int) -> int:
    if not pathlib.Path("fixed").exists():
        raise RuntimeError("not yet")
    return n + 1
@pipeline
def flaky():
    risky(made())
"""
    (project / "flaky.py").write_text(flaky)
    assert process("run", "flaky.py").returncode == 1
    (project / "flaky.py").write_text("raise RuntimeError('edited since')\n")
    assert process("runs", "resume", "latest").returncode == 1
    (project / "fixed").write_text("")
    done = process("runs", "resume", "latest")
    assert done.returncode == 0, done.stderr
    newest, failed, first = Client().list_runs()
    assert done.stdout.strip() == newest.id
    assert (newest.resumes, failed.resumes) == (failed.id, first.id)
    assert newest.steps["risky"].outputs["output"].load() == 21
    assert newest.steps["risky"].outcome["code"] == first.steps["risky"].outcome["code"], "the key tells of the code that ran"
    assert newest.header["package"] == first.header["package"]
    assert "taken_from" in newest.steps["made"].outcome
    assert "risky" in done.stderr
    assert cli("runs", "resume", newest.id).code == 2
    assert "has completed, so there is nothing to resume" in cli("runs", "resume", newest.id).err


def test_a_run_whose_process_was_killed_can_be_resumed(project: Path) -> None:
    (project / "ticking.py").write_text(TICKING.replace("range(30)", "range(600)"))
    child = subprocess.Popen(command("run", "ticking.py"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    (project / "ticking.py").write_text(TICKING)
    done = process("runs", "list")
    assert "interrupted" in done.stdout
    assert process("store", "verify").returncode == 0


def test_deleting_asks_first(cli: Cli, does: Cli, three: list[Any]) -> None:
    said = cli("runs", "delete", "again")
    assert (said.code, "This deletes again. Add --yes" in said.err) == (2, True)
    assert len(Client().list_runs()) == 3
    does("runs", "delete", "again", three[0].id, "--yes")
    assert [run.id for run in Client().list_runs()] == [three[2].id]
    assert cli("runs", "show", "again").code == 2


def test_a_comparison_tells_what_differs_and_what_is_alike(does: Cli, three: list[Any], project: Path) -> None:
    edit(project / "flow.py", "FACTOR = 2", "FACTOR = 5")
    does("run", "flow.py", "--name", "edited")
    said = does("runs", "compare", "again", "edited")
    assert said.lines[0] == "again → edited"
    for told in ("  parameter factor: 3 → 1", "    code flow:FACTOR changed", "    metric total: 18 → 15", "  alike: numbers"):
        assert told in said.lines
    data = json.loads(does("runs", "compare", "again", "edited", "--output", "json").out)
    assert data["parameters"] == {"factor": [3, 1]}
    assert data["steps"]["scaled"]["code"] == {"flow:FACTOR": "changed"}
    assert data["steps"]["numbers"]["outputs"] == {}


def test_a_comparison_with_a_step_that_did_not_run_says_no_more_than_that(does: Cli, cli: Cli) -> None:
    cli("run", "failing.py", "--name", "bad")
    does("run", "failing.py", "--param", "number=4", "--name", "good")
    lines = does("runs", "compare", "bad", "good").lines
    assert "  step divide: failed → completed" in lines
    assert lines[-1] == "  step after: skipped → completed"


def test_a_broken_pipe_ends_quietly(three: list[Any]) -> None:
    script = f"{sys.executable} -c 'from dovetail.cli import main; main()' runs list | head -c 3"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ID ", "")


def test_listing_20_of_1000_runs_reads_20(does: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are read, and nothing of the others but their ids."""
    from dovetail.ledger import layout

    does("run", "flow.py")
    client = Client()
    header = client.list_runs()[0].header
    for number in range(1000):
        run_id = layout.new_run_id(time.time() + number / 1000)
        client.ledger.run(run_id).finish({**header, "id": run_id, "name": f"run-{number}"})
    reads: list[str] = []
    cls = type(client.ledger.store)
    read = cls.read
    monkeypatch.setattr(cls, "read", lambda self, path: (reads.append(path), read(self, path))[1])
    said = does("runs", "list")
    assert len(said.lines) == 21
    assert len([path for path in reads if path.startswith("runs/")]) == 20


def test_where_the_tracker_shows_a_run_is_told_if_it_says(does: Cli, project: Path) -> None:
    (project / "tracked.yaml").write_text(
        "components:\n  orchestrator: {type: local, name: o}\n  artifact_store: {type: local, name: a, configuration: {path: kept}}\n"
        "  experiment_tracker: {type: local, name: t, configuration: {path: tracked}}\n"
    )
    does("stack", "apply", "tracked.yaml", "--set")
    does("run", "flow.py")
    assert "  tracked:     file://" in does("runs", "show", "latest").out


def test_a_tracker_that_cannot_say_hides_nothing(does: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.local.experiment_tracker import LocalTracker

    test_where_the_tracker_shows_a_run_is_told_if_it_says(does, project)

    def broken(self: Any, step_run: Any) -> str:
        raise ConnectionError("the tracking server is away")

    monkeypatch.setattr(LocalTracker, "url", broken)
    page = does("runs", "show", "latest", "--stack", "tracked").out
    assert "total  " in page
    assert "tracked:     file" not in page


def test_a_resumed_run_that_is_interrupted_says_how_to_go_on(project: Path) -> None:
    import signal

    (project / "ticking.py").write_text(TICKING.replace("range(30)", "range(600)"))
    run_id = process("run", "ticking.py", "--detach").stdout.strip()
    Client().cancel(run_id)
    Client().wait(run_id, timeout=20)
    with subprocess.Popen(command("runs", "resume", run_id), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "tick 0\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
    resumed = Client().list_runs()[0]
    assert child.returncode == 130
    assert (resumed.status, resumed.resumes) == ("cancelled", run_id)
    assert f"dovetail runs resume {resumed.id}" in err


def test_a_run_shows_what_its_tracker_could_not_be_told(does: Cli, tmp_path: Path) -> None:
    from dovetail.cli.run_pages import lines, page
    from dovetail.testing import in_memory, refused_credentials

    from dovetail import log_metrics, pipeline, step

    @step
    def train() -> int:
        log_metrics(loss=0.5)
        return 1

    @pipeline
    def training() -> None:
        train()

    with in_memory() as stack, refused_credentials(stack.tracker):
        run = training()
        said = page(run)["steps"]["train"]["tracker_errors"]
        assert "403 the credentials were refused" in said[0]
        assert [line for line in lines(run) if "not tracked" in line] == [f"      not tracked: {sentence}" for sentence in said]
