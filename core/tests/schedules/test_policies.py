"""What a scheduler does with ticks: on time, while a run goes on, and after a time without a scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail import Schedule
from dovetail.execution.scheduling import end_schedule, pause_schedule, resume_schedule
from dovetail.ledger import layout

HOURLY = "0 * * * *"


def test_each_tick_makes_one_run(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    scheduler = place.scheduler()
    for hour in range(1, 4):
        place.looks(scheduler, f"2026-03-01 0{hour}:00", f"2026-03-01 0{hour}:01", f"2026-03-01 0{hour}:30")
        place.end_all()
    assert place.ran() == ["03-01 01:00", "03-01 02:00", "03-01 03:00"]
    assert len(place.started) == 3


def test_a_look_says_when_the_next_tick_is(scheduled: Any) -> None:
    place = scheduled(Schedule(cron="30 4 * * *", timezone="Europe/Berlin"), "2026-03-01 00:30")
    assert place.scheduler().look() == place.clock.now + 3 * 3600


def test_ticks_before_the_schedule_was_made_are_not_made_up(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, missed="all"), "2026-03-01 05:00")
    place.looks(place.scheduler(), "2026-03-01 05:59")
    assert place.ran() == []


# -- overlap ---------------------------------------------------------------------------------------------------------------


def test_a_tick_that_comes_while_a_run_goes_on_is_skipped_and_says_why(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 01:00", "2026-03-01 02:00")
    (first,) = [claim["run"] for claim in place.ticks.newest() if "run" in claim]
    assert place.skipped() == {"03-01 02:00": f"run {first} of the schedule still went on (overlap='skip')"}
    place.end_all()
    place.looks(scheduler, "2026-03-01 02:30", "2026-03-01 03:00")
    assert place.ran() == ["03-01 01:00", "03-01 03:00"]


def test_runs_may_overlap_where_that_is_allowed(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, overlap="allow"), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 01:00", "2026-03-01 02:00")
    assert len(place.started) == 2


def test_an_earlier_run_is_cancelled_and_the_next_begins_when_it_has_ended(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, overlap="cancel"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 01:00", "2026-03-01 02:00")
    first = next(claim["run"] for claim in place.ticks.newest() if not claim["after"])
    assert place.workspace.ledger.run(first).cancelled()
    assert len(place.started) == 1
    place.end(first)
    place.looks(scheduler, "2026-03-01 02:00:05")
    assert len(place.started) == 2


def test_an_earlier_run_is_cancelled_by_whoever_carries_out_the_claim(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, overlap="cancel"), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 01:00")
    (first,) = [claim["run"] for claim in place.ticks.newest()]
    at = place.at("2026-03-01 02:00")
    gone = {"pid": 2**22 + 1, "started": "1", "boot": "", "host": "other", "machine": "other", "namespace": ""}
    place.ticks.claim(at, {"at": at, "schedule": 1, "by": gone, "run": layout.new_run_id(at), "after": [first]})
    place.looks(place.scheduler(), "2026-03-01 02:00:40")
    assert place.workspace.ledger.run(first).cancelled()


def test_an_earlier_run_that_does_not_end_holds_the_next_up_for_a_minute(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, overlap="cancel"), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 01:00", "2026-03-01 02:00", "2026-03-01 02:00:50")
    assert len(place.started) == 1
    place.looks(place.scheduler(), "2026-03-01 02:01:01", "2026-03-01 02:06")
    assert len(place.started) == 2


def test_a_run_that_is_on_its_way_counts_as_going_on(scheduled: Any) -> None:
    place = scheduled(Schedule(cron="* * * * *"), "2026-03-01 00:30")
    place.begins = False
    place.looks(place.scheduler(), "2026-03-01 00:31", "2026-03-01 00:32")
    assert (place.ran(), list(place.skipped())) == (["03-01 00:31"], ["03-01 00:32"])


# -- missed ----------------------------------------------------------------------------------------------------------------


def test_the_latest_missed_tick_is_made_up_once(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 05:20")
    assert place.ran() == ["03-01 05:00"]
    assert place.said[0] == "p: 4 ticks, of 2026-03-01 01:00 UTC to 2026-03-01 04:00 UTC, missed: no scheduler was there (missed='latest')"
    place.end_all()
    place.looks(place.scheduler(), "2026-03-01 05:40")
    assert place.ran() == ["03-01 05:00"]


def test_what_was_missed_is_not_made_up_beside_a_tick_that_is_on_time(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 05:00:20")
    assert place.ran() == ["03-01 05:00"]


def test_no_missed_tick_is_made_up_where_none_is_to_be(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, missed="skip"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 05:20", "2026-03-01 06:00")
    assert place.ran() == ["03-01 06:00"]


def test_all_missed_ticks_are_made_up_one_after_another(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, missed="all"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 03:20", "2026-03-01 03:21")
    assert place.ran() == ["03-01 01:00"]
    for _ in range(3):
        place.end_all()
        place.looks(scheduler, "2026-03-01 03:30")
    assert place.ran() == ["03-01 01:00", "03-01 02:00", "03-01 03:00"]


def test_what_is_still_to_be_made_up_outlives_the_scheduler(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, missed="all"), "2026-03-01 00:30")
    place.looks(place.scheduler(), "2026-03-01 03:20", "2026-03-01 04:00")
    assert (place.ran(), list(place.skipped())) == (["03-01 01:00"], ["03-01 04:00"])
    scheduler = place.scheduler()
    for _ in range(3):
        place.end_all()
        place.looks(scheduler, "2026-03-01 04:30")
    assert place.ran() == ["03-01 01:00", "03-01 02:00", "03-01 03:00"]


@pytest.mark.parametrize("missed", ["latest", "all"])
def test_nothing_is_made_up_that_is_more_than_a_month_ago(scheduled: Any, missed: str) -> None:
    place = scheduled(Schedule(cron="0 0 1 1 *", missed=missed), "2025-12-31 12:00")
    place.looks(place.scheduler(), "2026-02-02 00:00")
    assert place.ran() == []


def test_of_many_missed_ticks_the_newest_hundred_are_made_up(scheduled: Any) -> None:
    place = scheduled(Schedule(cron="* * * * *", missed="all"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-02 00:30:30")
    assert "p: 1339 ticks, of 2026-03-01 00:31 UTC to 2026-03-01 22:49 UTC, missed" in place.said[0]
    place.end_all()
    place.looks(scheduler, "2026-03-02 00:30:40")
    assert place.ran() == ["03-01 22:50", "03-02 00:30"]


def test_a_scheduler_that_was_stopped_for_a_while_takes_nothing_from_another(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, missed="all"), "2026-03-01 00:30")
    stopped, other = place.scheduler(), place.scheduler()
    place.looks(stopped, "2026-03-01 00:50")
    for hour in range(1, 4):
        place.looks(other, f"2026-03-01 0{hour}:00")
        place.end_all()
    place.said.clear()
    place.looks(stopped, "2026-03-01 03:30")
    assert (len(place.started), place.said) == (3, [])


# -- changes ---------------------------------------------------------------------------------------------------------------


def test_a_schedule_that_is_paused_makes_no_run_and_what_it_missed_is_not_made_up(scheduled: Any, monkeypatch: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY, missed="all"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    assert pause_schedule("p", place.workspace)
    assert not pause_schedule("p", place.workspace)
    place.looks(scheduler, "2026-03-01 01:00", "2026-03-01 04:20")
    place.clock.now += 60  # by which the record is written
    assert resume_schedule("p", place.workspace)
    assert not resume_schedule("p", place.workspace)
    place.looks(scheduler, "2026-03-01 04:30", "2026-03-01 05:00")
    assert place.ran() == ["03-01 05:00"]


def test_a_schedule_that_is_made_again_is_followed_from_then_on(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 01:00")
    place.end_all()
    again = scheduled(Schedule(cron="30 * * * *"), "2026-03-01 01:10")
    place.looks(scheduler, "2026-03-01 01:30", "2026-03-01 02:00")
    assert again.ran() == ["03-01 01:00", "03-01 01:30"]


def test_a_schedule_that_was_ended_makes_no_more_runs(scheduled: Any) -> None:
    place = scheduled(Schedule(cron=HOURLY), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 00:50")
    end_schedule("p", place.workspace)
    place.looks(scheduler, "2026-03-01 01:00")
    assert (place.ran(), scheduler.look()) == ([], None)
