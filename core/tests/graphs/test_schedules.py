"""A schedule at an engine makes a run of its own each time, without anything on the machine where it was made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, Schedule
from dovetail.components import JobGraph
from dovetail.errors import DefinitionError, NotFound
from dovetail.execution.running import header_of
from dovetail.execution.scheduling import end_schedule, pause_schedule, resume_schedule, schedules
from dovetail.ledger.collecting import collect
from dovetail.ledger.runs import RunRecords
from dovetail.ledger.ticks import Ticks
from dovetail.ledger.verifying import verify

_FLOW = """
    from pathlib import Path
    from dovetail import pipeline, step

    @step
    def read(place: str) -> str:
        return Path(place, "data").read_text()

    @step
    def doubled(text: str, times: int) -> str:
        return text * times

    @pipeline
    def p(place: str, times: int = 2):
        doubled(read(place), times)
"""


@pytest.fixture
def place(apply_stack: Callable[..., None], isolated: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    place = isolated / "place"
    place.mkdir()
    apply_stack("graphs", orchestrator=("graph_engine", "graphs", {"folder": str(isolated / "graphs"), "variables": variables}))
    monkeypatch.setenv("DOVETAIL_STACK", "graphs")
    return place


def fired(address: str, tmp_path: Path) -> int:
    """The exit code of what the engine's clock would start, in a folder that knows nothing of the project."""
    job = json.loads(Path(address).read_text())["job"]
    inherited = {name: os.environ[name] for name in ("PATH", "DOVETAIL_HOME", "DOVETAIL_CACHE")}
    (tmp_path / "empty").mkdir(exist_ok=True)
    return subprocess.run([sys.executable, *job["command"]], env={**inherited, **job["variables"]}, cwd=tmp_path / "empty", check=False).returncode


def test_each_time_there_is_a_new_run_with_the_arguments_and_the_code_of_the_schedule(place, make_module, tmp_path) -> None:
    (place / "data").write_text("a")
    address = make_module(_FLOW).p.with_options(tags=["nightly"]).schedule(Schedule(cron="0 3 * * *"), str(place), times=3)
    make_module(_FLOW.replace("text * times", "'changed since'"))
    assert fired(address, tmp_path) == 0
    (place / "data").write_text("b")
    assert fired(address, tmp_path) == 0
    runs = Client().list_runs()
    assert [run.steps["doubled"].output.load() for run in runs] == ["bbb", "aaa"]
    assert {run.tags for run in runs} == {("nightly", "scheduled")}
    assert verify(Client().ledger).findings == ()


def test_what_is_cached_is_taken_from_the_cache_when_the_time_comes(place, make_module, tmp_path) -> None:
    (place / "data").write_text("a")
    address = make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *"), str(place))
    assert (fired(address, tmp_path), fired(address, tmp_path)) == (0, 0)
    assert [run.status for run in Client().list_runs()] == ["cached", "completed"]


def test_a_schedule_that_fails_says_so_to_its_engine(place, make_module, tmp_path) -> None:
    address = make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *"), str(place))
    assert fired(address, tmp_path) == 1
    assert Client().list_runs()[0].status == "failed"


def test_the_code_of_a_schedule_is_not_collected(place, make_module, tmp_path) -> None:
    (place / "data").write_text("a")
    address = make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *"), str(place))
    collect(Client().ledger, time.time() + 100 * 86_400)
    assert fired(address, tmp_path) == 0


def test_schedules_are_listed_and_ended(place, make_module, programs: Any) -> None:
    address = make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *", timezone="Europe/Berlin"), str(place))
    main = ("-c", "from dovetail.cli import main; main()", "schedules")
    listed = json.loads(programs.run(*main, "list", "--output", "json"))
    assert [(row["pipeline"], row["cron"], row["timezone"], row["engine"]) for row in listed] == [("p", "0 3 * * *", "Europe/Berlin", address)]
    programs.run(*main, "delete", "p")
    assert not Path(address).exists()
    assert json.loads(programs.run(*main, "list", "--output", "json")) == []
    with pytest.raises(NotFound):
        end_schedule("p", Client().workspace)


def test_what_an_engine_cannot_keep_is_refused_before_anything_is_made(place, make_module, graph_engine, monkeypatch) -> None:
    monkeypatch.setattr(graph_engine.GraphEngine, "schedule_problems", lambda self, schedule: ["its clock knows no Mondays."])
    with pytest.raises(DefinitionError, match=r"(?s)1\. its clock knows no Mondays.*2\. missed='all' is for `dovetail scheduler`, and orchestrator 'graphs'"):
        make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *", missed="all"), str(place))
    assert list(schedules(Client().ledger)) == []


def test_a_schedule_of_an_engine_that_is_paused_runs_nothing(place, make_module, tmp_path) -> None:
    (place / "data").write_text("a")
    address = make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *"), str(place))
    pause_schedule("p", Client().workspace)
    assert fired(address, tmp_path) == 0
    assert Client().list_runs() == []
    resume_schedule("p", Client().workspace)
    assert fired(address, tmp_path) == 0
    (run,) = Client().list_runs()
    assert run.scheduled_for is not None and run.created >= run.scheduled_for


def begun_by_the_clock(flow, place) -> RunRecords:
    """A run that the engine's clock had started and that still goes on."""
    ledger, plan = Client().ledger, flow.p.plan(str(place))
    records = ledger.run(plan.run_id)
    records.begin(header_of(plan), plan.to_json())
    Ticks(ledger.records, "p").claim(plan.created, {"at": plan.created, "run": plan.run_id}, engine=True)
    return records


def test_an_engine_that_starts_a_run_while_one_goes_on_makes_none(place, make_module, tmp_path) -> None:
    flow = make_module(_FLOW)
    address = flow.p.schedule(Schedule(cron="0 3 * * *"), str(place))
    earlier = begun_by_the_clock(flow, place)
    assert fired(address, tmp_path) == 0
    newest = next(Ticks(Client().ledger.records, "p").newest())
    assert newest["why"] == f"run {earlier.run_id} of the schedule still went on (overlap='skip')"
    assert [run.id for run in Client().list_runs()] == [earlier.run_id]


def test_an_engine_that_starts_a_run_cancels_the_one_that_goes_on_where_it_is_to(place, make_module, tmp_path) -> None:
    (place / "data").write_text("a")
    flow = make_module(_FLOW)
    address = flow.p.schedule(Schedule(cron="0 3 * * *", overlap="cancel"), str(place))
    earlier = begun_by_the_clock(flow, place)

    def obey() -> None:
        until = time.monotonic() + 60
        while not earlier.cancelled() and time.monotonic() < until:
            time.sleep(0.1)
        earlier.finish({**(earlier.header() or {}), "status": "cancelled", "ended": time.time(), "steps": {}})

    obeying = threading.Thread(target=obey)
    obeying.start()
    assert fired(address, tmp_path) == 0
    obeying.join()
    assert [run.status for run in Client().list_runs()] == ["completed", "cancelled"]


def test_a_schedule_that_moves_to_a_stack_without_a_clock_is_the_schedulers(place, make_module, monkeypatch, tmp_path) -> None:
    (place / "data").write_text("a")
    flow = make_module(_FLOW)
    address = flow.p.schedule(Schedule(cron="0 3 * * *"), str(place))
    kept = Path(address).read_text()
    monkeypatch.setenv("DOVETAIL_STACK", "default")
    flow.p.schedule(Schedule(cron="0 4 * * *"), str(place))
    assert [(record["cron"], record["kept_by"]) for record in schedules(Client().ledger)] == [("0 4 * * *", "scheduler")]
    assert not Path(address).exists()
    Path(address).write_text(kept)
    assert fired(address, tmp_path) == 0
    assert Client().list_runs() == []


def test_a_cron_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(DefinitionError, match="five fields"):
        Schedule(cron="every day")
    with pytest.raises(DefinitionError, match="no time zone"):
        Schedule(cron="0 3 * * *", timezone="Mars/Olympus")


def test_a_schedule_on_another_stack_takes_the_place_of_the_one_before(place, make_module, apply_stack, isolated, variables, monkeypatch) -> None:
    flow = make_module(_FLOW)
    one = flow.p.schedule(Schedule(cron="0 3 * * *"), str(place))
    apply_stack("other", orchestrator=("graph_engine", "graphs2", {"folder": str(isolated / "graphs2"), "variables": variables}))
    monkeypatch.setenv("DOVETAIL_STACK", "other")
    two = flow.p.schedule(Schedule(cron="0 4 * * *"), str(place))
    assert (Path(one).exists(), Path(two).exists()) == (False, True)


def test_a_schedule_whose_replacement_failed_is_shown_and_can_be_ended(place, make_module, graph_engine, monkeypatch) -> None:
    flow = make_module(_FLOW)
    address = flow.p.schedule(Schedule(cron="0 3 * * *"), str(place))

    def away(self: Any, *_: Any) -> str:
        raise ConnectionError("the engine is away")

    monkeypatch.setattr(graph_engine.GraphEngine, "schedule", away)
    with pytest.raises(ConnectionError):
        flow.p.schedule(Schedule(cron="0 4 * * *"), str(place))
    assert [record["cron"] for record in schedules(Client().ledger)] == ["0 3 * * *"]
    end_schedule("p", Client().workspace)
    assert not Path(address).exists()


def test_a_clock_that_was_not_stopped_runs_nothing_of_what_was_ended(place, make_module, tmp_path) -> None:
    address = make_module(_FLOW).p.schedule(Schedule(cron="0 3 * * *"), str(place))
    kept = Path(address).read_text()
    end_schedule("p", Client().workspace)
    Path(address).write_text(kept)
    assert fired(address, tmp_path) == 0
    assert Client().list_runs() == []


def test_pipelines_of_like_names_have_schedules_of_their_own(place, make_module) -> None:
    flow = make_module(_FLOW + """
    @pipeline(name="my_flow")
    def a(place: str):
        read(place)

    @pipeline(name="my-flow")
    def b(place: str):
        read(place)

    @pipeline(name="versions")
    def c(place: str):
        read(place)
""")
    addresses = [each.schedule(Schedule(cron="0 3 * * *"), str(place)) for each in (flow.a, flow.b, flow.c)]
    assert len(set(addresses)) == 3
    assert {record["name"] for record in schedules(Client().ledger)} == {"my_flow", "my-flow", "versions"}
    assert verify(Client().ledger).findings == ()


def test_a_schedule_made_of_what_is_cached_now_has_its_images(place, make_module, graph_engine, monkeypatch) -> None:
    (place / "data").write_text("a")
    monkeypatch.setattr(graph_engine.GraphEngine, "runs_images", True)
    monkeypatch.setattr(graph_engine.GraphEngine, "default_image", lambda self: "img:1")
    schedule, images = graph_engine.GraphEngine.schedule, []

    def noted(self: Any, name: str, timing: Schedule, graph: JobGraph) -> str:
        images.extend(job.image for job in graph.jobs)
        return str(schedule(self, name, timing, graph))

    monkeypatch.setattr(graph_engine.GraphEngine, "schedule", noted)
    flow = make_module(_FLOW)
    assert flow.p(str(place)).status == "completed"
    flow.p.schedule(Schedule(cron="0 3 * * *"), str(place))
    assert images == ["img:1"]
    assert [step.get("image") for step in next(schedules(Client().ledger))["plan"]["steps"]] == ["img:1", "img:1"]
