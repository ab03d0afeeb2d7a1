"""`pipeline.schedule` without an engine's clock, and `dovetail schedules`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from dovetail import Client, Schedule
from dovetail.cli.application import run as command_line
from dovetail.errors import ConfigurationError, DefinitionError, NotFound
from dovetail.execution.scheduling import end_schedule, find_schedule, pause_schedule
from dovetail.execution.ticks import check_ticks
from dovetail.ledger.verifying import verify

HOURLY = Schedule(cron="0 * * * *", timezone="Europe/Berlin")
SECRETIVE = """
    from dovetail import pipeline, step

    @step
    def one(n: int) -> int:
        return n

    @pipeline
    def p(place: str, n: int):
        one(n)
"""


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert command_line(["schedules", *arguments, "--output", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert command_line(["schedules", *arguments]) == code
    said = capsys.readouterr()
    return said.out + said.err


def test_a_schedule_is_kept_in_the_store_and_says_who_starts_its_runs(make_module: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("DOVETAIL_QUIET")
    address = make_module(SECRETIVE).p.schedule(HOURLY, "x", 3)
    assert "are started by `dovetail scheduler --stack default`" in capsys.readouterr().err
    assert address.endswith("schedules/p")
    record = find_schedule("p", Client().ledger)
    assert (record["cron"], record["timezone"], record["overlap"], record["missed"]) == ("0 * * * *", "Europe/Berlin", "skip", "latest")
    assert record["plan"]["parameters"] == {"place": "x", "n": 3}


def test_a_parameter_that_is_missing_is_said_when_the_schedule_is_made(make_module: Any) -> None:
    with pytest.raises(DefinitionError, match="n"):
        make_module(SECRETIVE).p.schedule(HOURLY, "x")
    with pytest.raises(NotFound):
        find_schedule("p", Client().ledger)


def test_a_pipeline_that_no_other_process_can_import_is_refused() -> None:
    from dovetail import pipeline, step

    @step
    def inner() -> int:
        return 1

    @pipeline
    def local_one() -> None:
        inner()

    with pytest.raises(DefinitionError, match="defined inside a function"):
        local_one.schedule(HOURLY)


def test_a_schedule_keeps_references_to_secrets_and_not_the_secrets(make_module: Any, apply_stack: Any, store_root: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PLACE_OF_RESULTS", str(store_root))
    apply_stack("other", artifact_store=("local", "named", {"path": "${PLACE_OF_RESULTS}"}))
    monkeypatch.setenv("DOVETAIL_STACK", "other")
    make_module(SECRETIVE).p.schedule(HOURLY, "x", 3)
    record = find_schedule("p", Client().ledger)
    assert record["plan"]["stack"]["components"]["artifact_store"]["configuration"]["path"] == "${PLACE_OF_RESULTS}"


def test_a_list_shows_the_next_tick_and_what_became_of_the_last(scheduled: Any, capsys: Any) -> None:
    scheduled(HOURLY, "2026-03-01 00:30")
    (row,) = shown(capsys, "list")
    assert (row["pipeline"], row["kept_by"], row["paused"], row["result"]) == ("p", "dovetail scheduler", False, "missed")
    assert row["next"].endswith(":00+01:00") or row["next"].endswith(":00+02:00")
    assert told(capsys, "list").split()[:3] == ["PIPELINE", "CRON", "TIMEZONE"]


def test_a_page_shows_each_tick_with_its_run_or_why_there_is_none(scheduled: Any, capsys: Any) -> None:
    recent = time.time() // 3600 * 3600 - 5 * 3600
    moment = [time.strftime("%Y-%m-%d %H:%M", time.gmtime(recent + 3600 * number)) for number in range(5)]
    place = scheduled(Schedule(cron="0 * * * *", missed="skip"), time.strftime("%Y-%m-%d %H:%M", time.gmtime(recent - 600)))
    scheduler = place.scheduler()
    place.looks(scheduler, moment[0], moment[1])
    place.end_all()
    place.looks(scheduler, moment[3])
    ticks = shown(capsys, "show", "p")["ticks"]
    by_tick = {tick["tick"][:16].replace("T", " "): (tick["result"], tick["why"]) for tick in ticks}
    assert by_tick[moment[0]] == ("completed", None)
    assert by_tick[moment[1]][0] == "skipped"
    assert "still went on" in by_tick[moment[1]][1]
    assert by_tick[moment[2]] == ("missed", "no scheduler was there (missed='skip')")
    assert by_tick[moment[3]][0] in ("initializing", "running")
    assert len(shown(capsys, "show", "p", "--limit", "2")["ticks"]) == 2


def test_a_schedule_is_paused_resumed_and_ended_by_name(scheduled: Any, capsys: Any) -> None:
    scheduled(HOURLY, "2026-03-01 00:30")
    assert "is paused" in told(capsys, "pause", "p")
    assert "was paused already" in told(capsys, "pause", "p")
    (row,) = shown(capsys, "list")
    assert (row["paused"], row["next"]) == (True, None)
    assert "goes on" in told(capsys, "resume", "p")
    assert "was not paused" in told(capsys, "resume", "p")
    assert "has ended" in told(capsys, "delete", "p")
    assert shown(capsys, "list") == []
    assert verify(Client().ledger).findings == ()


@pytest.mark.parametrize("command", ["show", "pause", "resume", "delete"])
def test_a_schedule_that_there_is_not_is_told_with_those_that_there_are(scheduled: Any, capsys: Any, command: str) -> None:
    scheduled(HOURLY, "2026-03-01 00:30")
    assert "There is no schedule of a pipeline 'q'. Known: p." in told(capsys, command, "q", code=2)


def test_without_cronsim_the_cure_is_told(monkeypatch: Any, scheduled: Any, capsys: Any) -> None:
    scheduled(HOURLY, "2026-03-01 00:30")
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'dovetail\[scheduler\]'"):
        check_ticks()
    assert "pip install 'dovetail[scheduler]'" in told(capsys, "list")
    assert command_line(["scheduler", "--once"]) == 2


def test_the_name_of_a_run_may_hold_its_moment_in_the_time_zone_of_the_schedule(scheduled: Any, make_module: Any) -> None:
    place = scheduled(HOURLY, "2026-03-01 00:30")
    make_module(SECRETIVE).p.with_options(run_name="p-{scheduled}").schedule(HOURLY, "x", 3)
    place.looks(place.scheduler(), "2126-03-01 01:00")
    assert Client().list_runs()[0].name == "p-2126-03-01-02-00"


def test_a_step_that_asks_for_its_moment_is_not_cached(make_module: Any) -> None:
    flow = make_module("""
        from dovetail import get_step_context, pipeline, step

        @step
        def asks() -> str:
            return str(get_step_context().scheduled_for)

        @pipeline
        def p():
            asks()
    """)
    assert flow.p().steps["asks"].output.load() == "None"
    assert flow.p().steps["asks"].status == "completed"


def test_the_code_and_the_ticks_of_a_schedule_outlive_a_collection(scheduled: Any) -> None:
    from dovetail.ledger.collecting import collect

    place = scheduled(Schedule(cron="0 * * * *"), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 01:00")
    collect(Client().ledger, time.time() + 100 * 86_400)
    assert place.ran() == ["03-01 01:00"]
    place.end_all()
    place.looks(place.scheduler(), "2026-03-01 02:00")
    assert len(place.started) == 2


def test_a_schedule_that_was_ended_and_paused_is_not_known(scheduled: Any) -> None:
    place = scheduled(HOURLY, "2026-03-01 00:30")
    pause_schedule("p", place.workspace)
    end_schedule("p", place.workspace)
    with pytest.raises(NotFound):
        find_schedule("p", place.workspace.ledger)


