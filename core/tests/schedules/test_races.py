"""Any number of schedulers, dying at any moment, make one run of each tick and lose none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from dovetail import Client, Schedule
from dovetail.errors import ConfigurationError
from dovetail.execution.scheduled import run_tick
from dovetail.execution.launching import schedule_address
from dovetail.ledger.verifying import verify
from dovetail.worker import ExitCode

HOURLY = "0 * * * *"
ELSEWHERE = {"pid": 1, "started": "1", "host": "other", "boot": "another boot", "machine": "another", "namespace": "pid:[1]"}


def gone() -> dict[str, Any]:
    """What a record says of a process of this machine that has ended."""
    from dovetail.values.processes import process_identity

    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process_identity(process.pid)
    process.kill()
    process.communicate()
    return identity


def claimed(place: Any, due: str, by: dict[str, Any]) -> str:
    """The run id of a tick that somebody claimed who did not begin its run."""
    from dovetail.ledger import layout

    run_id = layout.new_run_id(place.at(due))
    assert place.ticks.claim(place.at(due), {"at": place.at(due), "schedule": 1, "by": by, "run": run_id, "after": []})
    return run_id


def test_ten_schedulers_make_one_run_of_each_tick(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, overlap="allow"), "2026-03-01 00:30")
    schedulers = [place.scheduler() for _ in range(10)]
    for hour in range(1, 6):
        place.clock.now = place.at(f"2026-03-01 0{hour}:00")
        threads = [threading.Thread(target=scheduler.look) for scheduler in schedulers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert place.ran() == [f"03-01 0{hour}:00" for hour in range(1, 6)]
    assert sorted(place.started) == [place.at(f"2026-03-01 0{hour}:00") for hour in range(1, 6)]


def test_schedulers_whose_clocks_differ_by_seconds_make_one_run_of_each_tick(scheduled: Any) -> None:
    place = scheduled(Schedule(cron="* * * * *", overlap="allow"), "2026-03-01 00:30")
    ahead, behind = place.another_clock(), place.another_clock()
    one, other = place.scheduler(ahead), place.scheduler(behind)
    for second in range(0, 300, 4):
        ahead.now, behind.now = place.at("2026-03-01 00:30") + second + 9, place.at("2026-03-01 00:30") + second
        one.look()
        other.look()
    assert sorted(place.started) == [place.at(f"2026-03-01 00:{minute}") for minute in range(31, 36)]


@pytest.mark.parametrize("where", ["create", "folders"])
def test_a_store_that_fails_at_the_moment_of_a_tick_costs_no_run(scheduled: Any, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    scheduler, store = place.scheduler(), place.workspace.store
    place.looks(scheduler, "2026-03-01 00:50")
    method, failing = getattr(type(store), where), [True]

    def flaky(self: Any, path: str, *given: Any) -> Any:
        if failing and path.startswith("ticks/"):
            failing.clear()
            raise OSError("the store does not answer")
        return method(self, path, *given)

    monkeypatch.setattr(type(store), where, flaky)
    place.looks(scheduler, "2026-03-01 01:00", "2026-03-01 01:00:10", "2026-03-01 01:00:20")
    assert place.started == [place.at("2026-03-01 01:00")]
    assert place.said[0] == "p: the store does not answer"


def test_a_claim_whose_answer_was_lost_is_carried_out_by_who_made_it(scheduled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    scheduler, claim, failing = place.scheduler(), type(place.ticks).claim, [True]

    def lost(self: Any, *given: Any, **named: Any) -> Any:
        made = claim(self, *given, **named)
        if failing:
            failing.clear()
            raise OSError("the answer was lost")
        return made

    monkeypatch.setattr(type(place.ticks), "claim", lost)
    place.looks(scheduler, "2026-03-01 01:00", "2026-03-01 01:00:10")
    assert place.started == [place.at("2026-03-01 01:00")]


def test_a_clock_that_is_set_back_makes_no_run_twice(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, overlap="allow", missed="all"), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 01:00", "2026-03-01 02:00", "2026-03-01 00:40")
    place.looks(place.scheduler(), "2026-03-01 00:50", "2026-03-01 01:00", "2026-03-01 02:00")
    assert len(place.started) == 2


def test_the_run_of_a_scheduler_that_died_between_claim_and_start_is_made_by_another_at_once(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    run_id = claimed(place, "2026-03-01 01:00", gone())
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 01:00:01", "2026-03-01 01:00:09", "2026-03-01 01:10")
    assert [claim["run"] for claim in place.ticks.newest()] == [run_id]
    assert place.started == [place.at("2026-03-01 01:00")]
    assert place.workspace.ledger.run(run_id).header() is not None
    assert "again, since who had claimed it did not begin it" in place.said[0]


def test_of_one_on_another_machine_it_is_made_once_its_lease_is_over(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    claimed(place, "2026-03-01 01:00", ELSEWHERE)
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 01:00:05", "2026-03-01 01:00:25")
    assert place.started == []
    place.looks(scheduler, "2026-03-01 01:00:35")
    assert place.started == [place.at("2026-03-01 01:00")]


def test_a_claim_by_a_scheduler_that_lives_is_left_to_it(scheduled: Any) -> None:
    from dovetail.values.processes import process_identity

    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    claimed(place, "2026-03-01 01:00", process_identity())
    place.looks(place.scheduler(), "2026-03-01 01:01", "2026-03-01 01:04")
    assert place.started == []


def test_a_run_that_two_processes_are_to_make_begins_once(scheduled: Any, isolated: Path) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    run_id = claimed(place, "2026-03-01 01:00", gone())
    path = "schedules/p/1.json"
    address = schedule_address(place.workspace, path)
    command = [sys.executable, "-m", "dovetail.execution", address, "--tick", str(int(place.at("2026-03-01 01:00")))]
    processes = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert (isolated / "ran" / run_id).read_text() == "ran once\n"
    run = Client().get_run(run_id)
    assert (run.status, run.tags) == ("completed", ("scheduled",))
    assert run.scheduled_for is not None and run.scheduled_for.timestamp() == place.at("2026-03-01 01:00")
    assert run.steps["said"].output.load() == "2026-03-01 01:00:00+00:00"
    assert verify(Client().ledger).findings == ()


def test_a_run_that_was_deleted_is_not_made_again(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    run_id = claimed(place, "2026-03-01 01:00", gone())
    assert run_tick(schedule_address(place.workspace, "schedules/p/1.json"), place.at("2026-03-01 01:00")) == ExitCode.DONE
    Client().delete(run_id)
    place.looks(place.scheduler(), "2026-03-01 01:00:30", "2026-03-01 01:20")
    assert place.started == []


def test_a_run_that_is_killed_is_interrupted_and_holds_up_no_other(scheduled: Any, isolated: Path) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30", seconds=60.0)
    run_id = claimed(place, "2026-03-01 01:00", gone())
    address = schedule_address(place.workspace, "schedules/p/1.json")
    process = subprocess.Popen([sys.executable, "-m", "dovetail.execution", address, "--tick", str(int(place.at("2026-03-01 01:00")))], start_new_session=True)
    try:
        while not (isolated / "ran" / run_id).exists():
            assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    place.looks(place.scheduler(), "2026-03-01 01:30", "2026-03-01 02:00")
    assert place.ran() == ["03-01 01:00", "03-01 02:00"]
    assert Client().get_run(run_id).status == "interrupted"


# -- what cannot begin -----------------------------------------------------------------------------------------------------


def test_a_process_that_ends_without_beginning_is_tried_three_times_and_then_given_up(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    place.begins, place.code = False, 1
    scheduler = place.scheduler()
    place.looks(scheduler, *(f"2026-03-01 01:0{second // 60}:{second % 60:02}" for second in range(0, 120, 5)))
    assert len(place.started) == 3
    assert (place.ticks.settled(place.at("2026-03-01 01:00")) or {})["why"] == "it broke"
    assert place.said[-1] == "p: the tick of 2026-03-01 01:00 UTC makes no run: it broke"
    assert scheduler.is_settled


def test_a_schedule_that_cannot_begin_says_why_and_nobody_tries_again(scheduled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    claimed(place, "2026-03-01 01:00", gone())

    def broken(*_: Any, **__: Any) -> Any:
        raise ConfigurationError("The variable SECRET is not set. Set it.")

    monkeypatch.setattr("dovetail.execution.scheduled.open_workspace", broken)
    with pytest.raises(ConfigurationError):
        run_tick(schedule_address(place.workspace, "schedules/p/1.json"), place.at("2026-03-01 01:00"))
    place.looks(place.scheduler(), "2026-03-01 01:00:30", "2026-03-01 01:20")
    assert place.started == []
    assert (place.ticks.settled(place.at("2026-03-01 01:00")) or {})["why"] == "The variable SECRET is not set. Set it."
