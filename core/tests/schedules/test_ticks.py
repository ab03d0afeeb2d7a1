"""The moments of a schedule are those that its cron says, by the clock of its time zone."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail import Schedule
from dovetail.errors import DefinitionError
from dovetail.execution.ticks import ticks_after
from dovetail.values.cron import read_cron

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Asia/Kolkata", "Asia/Tehran"]
CHANGES = ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2026-04-24", "2026-10-30", "2026-09-06", "2026-06-15"]
MINUTE = 60.0


def field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.tuples(st.one_of(st.just("*"), span), st.integers(1, most)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    listed = st.lists(number, min_size=2, max_size=3).map(lambda numbers: ",".join(map(str, numbers)))
    return st.one_of(st.just("*"), number.map(str), span, step, listed)


def crons() -> st.SearchStrategy[str]:
    often = st.one_of(st.just("*"), field(1, 31)), st.one_of(st.just("*"), st.just("*"), field(1, 12)), st.one_of(st.just("*"), field(0, 7))
    return st.tuples(field(0, 59), st.one_of(field(0, 23), field(0, 4)), *often).map(" ".join).filter(_comes)


def _comes(cron: str) -> bool:
    try:
        read_cron(cron)
    except ValueError:
        return False
    return True


def between(cron: str, zone: str, start: float, end: float) -> list[float]:
    return list(itertools.takewhile(lambda tick: tick < end, ticks_after({"cron": cron, "timezone": zone}, start)))


def expected(text: str, zone: str, start: float, end: float) -> list[float]:
    """Minute by minute, with no library: what the clock shows, and for times of the day the list of these."""
    cron, clock = read_cron(text), ZoneInfo(zone)
    if cron.wild:
        minutes = (start + MINUTE * number for number in range(1, int((end - start) / MINUTE)))
        return [minute for minute in minutes if cron.fits(datetime.fromtimestamp(minute, clock))]
    wall = datetime.fromtimestamp(start, clock).replace(tzinfo=None) - timedelta(days=1)
    last = datetime.fromtimestamp(end, clock).replace(tzinfo=None) + timedelta(days=1)
    found = set()
    while wall < last:
        if cron.fits(wall):
            found.add(_shown(wall, clock))
        wall += timedelta(minutes=1)
    return sorted(moment for moment in found if start < moment < end)


def _shown(wall: datetime, clock: ZoneInfo) -> float:
    """When the clock first shows that time, or what comes right after it where it is left out."""
    while True:
        moment = wall.replace(tzinfo=clock).timestamp()
        if datetime.fromtimestamp(moment, clock).replace(tzinfo=None) == wall:
            return moment
        wall += timedelta(minutes=1)


@settings(max_examples=150, deadline=None)
@given(crons(), st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 1440))
def test_ticks_are_those_that_the_clock_shows(cron: str, zone: str, day: str, minute: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp() - 43_200 + minute * MINUTE
    end = start + 2 * 86_400
    assert between(cron, zone, start, end) == expected(cron, zone, start, end)


@settings(max_examples=60, deadline=None)
@given(crons(), st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 2879))
def test_ticks_are_the_same_wherever_one_begins_to_count(cron: str, zone: str, day: str, minute: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp() - 43_200
    whole = between(cron, zone, start, start + 2 * 86_400)
    middle = start + minute * MINUTE
    assert [tick for tick in whole if tick > middle] == between(cron, zone, middle, start + 2 * 86_400)
    assert all(tick % MINUTE == 0 for tick in whole)


def shown(cron: str, zone: str, day: str) -> list[str]:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp() - 1
    return [datetime.fromtimestamp(tick, ZoneInfo(zone)).strftime("%H:%M %z") for tick in between(cron, zone, start, start + 86_400)]


def test_a_time_that_the_clocks_leave_out_comes_once_right_after() -> None:
    assert shown("0,30 2 * * *", "Europe/Berlin", "2026-03-29") == ["03:00 +0200"]


def test_a_time_that_the_clocks_repeat_comes_once() -> None:
    assert shown("30 2 * * *", "Europe/Berlin", "2026-10-25") == ["02:30 +0200"]


def test_what_follows_the_clock_comes_in_both_of_the_repeated_hours_and_not_in_the_gap() -> None:
    assert shown("0 * * * *", "Europe/Berlin", "2026-10-25")[1:5] == ["01:00 +0200", "02:00 +0200", "02:00 +0100", "03:00 +0100"]
    assert shown("0 * * * *", "Europe/Berlin", "2026-03-29")[:4] == ["00:00 +0100", "01:00 +0100", "03:00 +0200", "04:00 +0200"]


def test_no_minute_is_lost_after_the_clocks_were_changed_by_half_an_hour() -> None:
    assert shown("*/10 0 * * *", "Australia/Lord_Howe", "2026-04-06") == [f"00:{minute}0 +1030" for minute in range(6)]


def test_days_of_the_month_and_of_the_week_are_either_unless_one_begins_with_a_star() -> None:
    start = datetime(2026, 5, 31, 23, 59, tzinfo=timezone.utc).timestamp()

    def days(cron: str) -> list[int]:
        return [datetime.fromtimestamp(tick, timezone.utc).day for tick in between(cron, "UTC", start, start + 14 * 86_400)]

    assert days("0 0 10 * 1") == [1, 8, 10]
    assert days("0 0 */2 * 1") == [1]
    assert days("0 0 8 * *") == [8]
    start = datetime(2026, 2, 1, tzinfo=timezone.utc).timestamp()
    assert days("0 0 30 2 1") == [2, 9]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("every day", "five fields"),
        ("0 3 * * * 2027", "without seconds or years"),
        ("", "five fields"),
        ("60 3 * * *", "its minute '60' is outside of 0-59"),
        ("0 3 * * 5-1", "range that ends before it begins"),
        ("0 3 * * 8", "its day of the week '8'"),
        ("0 3 L * *", "its day of the month 'l' cannot be read"),
        ("0 3 * * MON#2", "'mon#2' cannot be read"),
        ("0 3 * FOO *", "its month 'foo'"),
        ("*/0 3 * * *", "its minute"),
        ("@daily", "five fields"),
        ("0 0 30 2 *", "it would never come"),
        ("0 0 31 4,6 *", "it would never come"),
    ],
)  # fmt: skip
def test_a_cron_that_is_none_is_refused_where_it_is_written(cron: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        Schedule(cron=cron)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "", "Europe/Berlin "])
def test_a_time_zone_that_is_none_is_refused_where_it_is_written(zone: str) -> None:
    with pytest.raises(DefinitionError, match="no time zone"):
        Schedule(cron="0 3 * * *", timezone=zone)


@pytest.mark.parametrize(("setting", "known"), [("overlap", "'skip', 'allow', 'cancel'"), ("missed", "'latest', 'skip', 'all'")])
def test_a_policy_that_is_none_is_refused_where_it_is_written(setting: str, known: str) -> None:
    with pytest.raises(DefinitionError, match=f"{setting}='never'.* is none of {known}"):
        Schedule(cron="0 3 * * *", **{setting: "never"})
