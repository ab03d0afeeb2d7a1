"""An engine that keeps a run's order itself needs no submitter: what it carries out is recorded, and what it leaves is closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, RunFailed
from dovetail.components import JobGraph, RunningJob
from dovetail.errors import ConfigurationError
from dovetail.ledger.runs import RunRecords
from dovetail.ledger.verifying import verify

_FLOW = """
    import os, time
    from pathlib import Path
    from dovetail import Retry, get_step_context, pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    def told(name):
        with open(PLACE / "executed", "a") as file:
            file.write(name + "\\n")

    @step
    def first() -> int:
        told("first")
        return 20

    @step
    def slow(x: int) -> int:
        told("slow")
        (PLACE / "pid").write_text(str(os.getpid()))
        while not (PLACE / "go").exists():
            time.sleep(0.02)
        return x * 2

    @step
    def after(x: int) -> int:
        told("after")
        return x + 2

    @step(retry=Retry(max_retries=1))
    def dies_once(x: int) -> int:
        told(f"attempt {get_step_context().attempt}")
        if get_step_context().attempt == 1:
            os.kill(os.getppid(), 9)
            os.kill(os.getpid(), 9)
        return x + 2

    @step
    def fails(x: int) -> int:
        raise ValueError("no flour")

    @step
    def items(count: int) -> list[int]:
        return list(range(count))

    @step
    def doubled(item: int) -> int:
        return 2 * item

    @pipeline
    def p():
        after(slow(first()))

    @pipeline
    def dying():
        after(dies_once(first()))

    @pipeline
    def broken():
        after(fails(slow(first())))

    @pipeline
    def mapped(count: int = 3):
        doubled.map(items(count))

    if __name__ == "__main__":
        p()
"""
_BROKEN = _FLOW.replace("        p()\n", "        broken()\n")


@pytest.fixture
def place(apply_stack: Callable[..., None], isolated: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """By whose files steps and tests speak with each other; the stack `graphs` is active."""
    place = isolated / "place"
    place.mkdir()
    configuration = {"folder": str(isolated / "graphs"), "variables": {**variables, "PLACE": str(place)}}
    apply_stack("graphs", orchestrator=("graph_engine", "graphs", configuration))
    monkeypatch.setenv("DOVETAIL_STACK", "graphs")
    return place


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def killed_while_slow(place: Path, programs: Any, flow: str = _FLOW) -> str:
    """Kill the submitter while the graph runs its second step; gives the graph's folder."""
    programs.write("flow.py", flow)
    process = programs.start("flow.py")
    until(lambda: (place / "pid").exists() or process.poll() is not None)
    assert process.poll() is None, (process.communicate(), Client().list_runs()[0].steps["first"].error["traceback"])
    process.kill()
    process.communicate()
    return str(Client().list_runs()[0].engine_address)


def executed(place: Path) -> list[str]:
    return (place / "executed").read_text().splitlines()


def test_a_graph_goes_on_when_its_submitter_is_killed_and_a_reader_closes_the_run(place, programs, check_store, store_root) -> None:
    graph = Path(killed_while_slow(place, programs))
    client = Client()
    assert client.list_runs()[0].status == "running"
    (place / "go").touch()
    until((graph / "code").exists)
    run = Client().list_runs()[0]
    assert (run.status, run.steps["after"].output.load()) == ("completed", 42)
    assert executed(place) == ["first", "slow", "after"]
    assert check_store(store_root) == []
    assert verify(client.ledger).findings == ()


def test_what_follows_a_failure_is_skipped_in_the_record_of_a_graph_without_submitter(place, programs) -> None:
    graph = Path(killed_while_slow(place, programs, _BROKEN))
    (place / "go").touch()
    until((graph / "code").exists)
    run = Client().list_runs()[0]
    assert {name: step.status.value for name, step in run.steps.items()} == {
        "first": "completed",
        "slow": "completed",
        "fails": "failed",
        "after": "skipped",
    }
    assert run.status == "failed"


def test_a_graph_without_submitter_is_cancelled_by_whoever_asks(place, programs) -> None:
    graph = Path(killed_while_slow(place, programs))
    client = Client()
    client.cancel(client.list_runs()[0])
    until((graph / "code").exists)
    run = Client().list_runs()[0]
    assert (run.status, run.steps["slow"].status) == ("cancelled", "cancelled")
    assert executed(place) == ["first", "slow"]


def test_nothing_is_closed_while_the_engine_cannot_be_asked(place, programs, graph_engine, monkeypatch) -> None:
    killed_while_slow(place, programs)

    def wait(self: RunningJob, seconds: float) -> int | None:
        raise ConnectionError("the engine is away")

    monkeypatch.setattr(graph_engine.RunningGraph, "wait", wait)
    assert Client().list_runs()[0].status == "running"
    (place / "go").touch()


def test_a_container_that_died_is_started_again_by_the_engine_and_makes_the_next_attempt(place, make_module) -> None:
    run = make_module(_FLOW).dying()
    assert (run.status, run.steps["after"].output.load(), run.steps["dies_once"].attempts) == ("completed", 24, 2)
    assert executed(place)[1:3] == ["attempt 1", "attempt 2"]


def test_a_container_that_died_for_good_fails_its_step_with_what_the_engine_says(place, make_module) -> None:
    flow = _FLOW.replace("max_retries=1", "max_retries=0")
    with pytest.raises(RunFailed, match="The engine ended the run's graph with code 1 before the step had an outcome"):
        make_module(flow).dying()
    run = Client().list_runs()[0]
    assert {name: step.status.value for name, step in run.steps.items()} == {"first": "completed", "dies_once": "failed", "after": "skipped"}


def test_a_graph_is_started_once_when_the_answer_got_lost(place, make_module, graph_engine, monkeypatch) -> None:
    (place / "go").touch()
    start, started = graph_engine.GraphEngine.start, []

    def answers_at_third(self: Any, graph: JobGraph) -> RunningJob:
        started.append(graph.name)
        running = start(self, graph)
        if len(started) < 3:
            raise ConnectionError("the answer was lost")
        return running

    monkeypatch.setattr(graph_engine.GraphEngine, "start", answers_at_third)
    assert make_module(_FLOW).p().status == "completed"
    assert len(started) == 3
    assert len(set(started)) == 1
    assert executed(place) == ["first", "slow", "after"]


def test_what_is_cached_is_no_job_and_what_proves_cached_later_runs_nothing(place, make_module, isolated) -> None:
    (place / "go").touch()
    flow = make_module(_FLOW)
    first = flow.p()
    changed = make_module(_FLOW.replace('told("first")\n', 'told("first anew")\n'))
    second = changed.p()
    assert executed(place) == ["first", "slow", "after", "first anew"]
    assert {name: step.status.value for name, step in second.steps.items()} == {"first": "completed", "slow": "cached", "after": "cached"}
    third = changed.p()
    assert third.status == "cached"
    assert third.engine_address is None
    graphs = [json.loads((Path(run.engine_address) / "graph.json").read_text()) for run in (first, second)]
    assert [len(graph["jobs"]) for graph in graphs] == [3, 3]


def test_a_mapped_step_is_one_job_with_its_children_recorded(place, make_module) -> None:
    run = make_module(_FLOW).mapped()
    assert [child.output.load() for child in run.steps["doubled"].children] == [0, 2, 4]
    graph = json.loads((Path(run.engine_address) / "graph.json").read_text())
    assert [(job["command"][-2:], len(job["after"])) for job in graph["jobs"]] == [(["items", "--in-graph"], 0), (["doubled", "--in-graph"], 1)]


def test_no_step_starts_after_a_failure_though_its_engine_starts_its_job(place, programs) -> None:
    flow = _FLOW.replace("def broken():\n        after(fails(slow(first())))\n", "def broken():\n        one = first()\n        fails(one)\n        after(slow(one))\n")
    graph = Path(killed_while_slow(place, programs, flow.replace("        p()\n", "        broken()\n")))
    told = json.loads((graph / "graph.json").read_text())
    assert told["keep_going"] is False
    (place / "go").touch()
    until((graph / "code").exists)
    job = next(job for job in told["jobs"] if job["command"][-2] == "after")
    assert subprocess.run([sys.executable, *job["command"]], env={**os.environ, **job["variables"]}, check=False).returncode == 0
    assert Client().list_runs()[0].steps["after"].why == "step 'fails' failed"
    assert "after" not in executed(place)


def test_jobs_and_graph_say_where_they_come_from(place, make_module) -> None:
    (place / "go").touch()
    run = make_module(_FLOW).p.with_options(tags=["nightly"])()
    labels = json.loads((Path(run.engine_address) / "graph.json").read_text())["labels"]
    assert labels == {
        "dovetail.run": run.id,
        "dovetail.run-name": run.name,
        "dovetail.pipeline": "p",
        "dovetail.stack": "graphs",
        "dovetail.tag.nightly": "",
    }


def test_a_page_of_a_run_names_what_the_engine_calls_it(place, make_module, programs) -> None:
    (place / "go").touch()
    run = make_module(_FLOW).p()
    shown = programs.run("-c", "from dovetail.cli import main; main()", "runs", "show", run.id)
    assert f"engine:      {run.engine_address}" in shown


# -- what goes wrong for who submitted it -------------------------------------------------------------------------------


def ended_within(pid: int, seconds: float = 20) -> bool:
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_while_following_stops_the_graph(place, programs) -> None:
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py")
    until(lambda: (place / "pid").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    process.communicate()
    run = Client().list_runs()[0]
    assert run.status == "cancelled"
    assert (Path(run.engine_address or "") / "stop").exists()
    assert ended_within(int((place / "pid").read_text()))


def test_ctrl_c_while_the_engine_is_asked_reaches_the_workers(place, make_module, graph_engine, monkeypatch) -> None:
    start = graph_engine.GraphEngine.start

    def interrupted(self: Any, graph: JobGraph) -> RunningJob:
        start(self, graph)
        until((place / "pid").exists)
        raise KeyboardInterrupt

    monkeypatch.setattr(graph_engine.GraphEngine, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_module(_FLOW).p()
    assert Client().list_runs()[0].status == "cancelled"
    assert ended_within(int((place / "pid").read_text()))


def test_an_engine_that_refuses_to_tell_ends_no_run(place, make_module, graph_engine, monkeypatch) -> None:
    wait, refusals = graph_engine.RunningGraph.wait, []

    def expired(self: Any, seconds: float) -> int | None:
        if len(refusals) < 2 and (place / "pid").exists():
            refusals.append(seconds)
            raise ConfigurationError("the token has expired; sign in again")
        (place / "go").touch()
        return wait(self, seconds)

    monkeypatch.setattr(graph_engine.RunningGraph, "wait", expired)
    assert make_module(_FLOW.replace('while not (PLACE / "go").exists()', "for _ in range(100)")).p().status == "completed"
    assert len(refusals) == 2


def test_a_store_that_is_away_for_a_moment_ends_no_run(place, make_module, monkeypatch) -> None:
    (place / "go").touch()
    outcome, failed = RunRecords.outcome, []

    def flaky(self: RunRecords, name: str) -> dict[str, Any] | None:
        if name == "slow" and not failed:
            failed.append(name)
            raise ConnectionError("the store is away")
        return outcome(self, name)

    monkeypatch.setattr(RunRecords, "outcome", flaky)
    assert make_module(_FLOW).p().status == "completed"
    assert failed


def test_a_submitter_that_dies_before_the_engine_has_answered_closes_nothing(place, programs) -> None:
    dying = """        import graph_engine
        start = graph_engine.GraphEngine.start
        def dies(self, graph):
            start(self, graph)
            while not Path(os.environ["THERE"], "pid").exists():
                time.sleep(0.02)
            os.kill(os.getpid(), 9)
        graph_engine.GraphEngine.start = dies
        p()
"""
    programs.write("flow.py", _FLOW.replace("        p()\n", dying))
    process = programs.start("flow.py", env={"THERE": str(place)})
    process.communicate()
    assert Client().list_runs()[0].status == "running"
    (place / "go").touch()
    until(lambda: Client().list_runs()[0].status == "completed")
    assert executed(place) == ["first", "slow", "after"]


def test_a_job_that_is_started_twice_runs_its_step_once(place, programs) -> None:
    graph = Path(killed_while_slow(place, programs))
    told = json.loads((graph / "graph.json").read_text())
    job = next(job for job in told["jobs"] if job["command"][-2] == "slow")
    second = subprocess.Popen([sys.executable, *job["command"]], env={**os.environ, **job["variables"]})
    time.sleep(2)
    assert executed(place) == ["first", "slow"]
    (place / "go").touch()
    assert second.wait() == 0
    until((graph / "code").exists)
    assert executed(place) == ["first", "slow", "after"]


def test_a_map_whose_container_died_goes_on_where_it_was(place, make_module) -> None:
    flow = """
        import os
        from pathlib import Path
        from dovetail import Retry, pipeline, step

        PLACE = Path(os.environ.get("PLACE", "."))

        @step
        def items() -> list[int]:
            return [0, 1, 2]

        @step(retry=Retry(max_retries=1), enable_cache=False)
        def doubled(item: int) -> int:
            with open(PLACE / "executed", "a") as file:
                file.write(f"{item}\\n")
            if item == 1 and not (PLACE / "died").exists():
                (PLACE / "died").touch()
                os.kill(os.getppid(), 9)
                os.kill(os.getpid(), 9)
            return 2 * item

        @pipeline
        def p():
            doubled.map(items())
    """
    import textwrap

    run = make_module(textwrap.dedent(flow).replace("\\\\n", "\\n")).p()
    assert [child.output.load() for child in run.steps["doubled"].children] == [0, 2, 4]
    assert executed(place).count("1") == 2
