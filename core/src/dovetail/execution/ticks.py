"""The moments of a schedule, in seconds since 1970: each is a whole minute.

Daylight saving is dealt with as by Debian's cron. A schedule of times of the day (neither its minute nor its hour begins with '*') comes
once for each of them: right after the gap for one that the clocks leave out, the first time for one that they repeat. One that follows
the clock ('*/15 * * * *') comes whenever the clock shows it: not in the gap, and in both of the repeated hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dovetail.errors import ConfigurationError
from dovetail.values.cron import Cron, read_cron

_MINUTE = 60.0
_QUARTER = 900.0
_MISSING = "What comes next of a schedule is told by the package cronsim, which is not installed. Run: pip install 'dovetail[scheduler]'."


def ticks_after(schedule: Mapping[str, Any], moment: float) -> Iterator[float]:
    """The ticks of a schedule's record later than that moment, ascending, without end.

    Raises ConfigurationError where cronsim or the time zone is not known here, and for a record that says no time.
    """
    cron, zone = _understood(schedule)
    start = int(moment // _MINUTE) * _MINUTE
    last = moment
    for tick in _each_shown(cron, zone, start) if cron.wild else _times_of_the_day(cron, zone, start):
        if tick > last:  # several times in one gap are one tick, and what begins in the repeated hour is given its first again
            last = tick
            yield tick


def _times_of_the_day(cron: Cron, zone: ZoneInfo, start: float) -> Iterator[float]:
    return (found.timestamp() for found in _simulator()(cron.text, datetime.fromtimestamp(start, zone)))


def _each_shown(cron: Cron, zone: ZoneInfo, start: float) -> Iterator[float]:
    """Minute by minute, as cronsim passes over the half hour after clocks were changed by one (Australia/Lord_Howe)."""
    moment = start
    while True:
        shown = datetime.fromtimestamp(moment, zone)
        if cron.fits(shown):
            yield moment
        near = cron.fits_day(shown) and shown.hour in cron.hours
        moment += _MINUTE if near else _QUARTER - moment % _QUARTER  # no clock differs from UTC by other than quarters


def _understood(schedule: Mapping[str, Any]) -> tuple[Cron, ZoneInfo]:
    try:
        return read_cron(schedule["cron"]), ZoneInfo(schedule["timezone"])
    except (ZoneInfoNotFoundError, OSError):
        raise ConfigurationError(
            f"The time zone {schedule['timezone']!r} is not known on this machine. Install the table of time zones: pip install tzdata."
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"The cron expression {schedule['cron']!r} cannot be kept: {error}. Schedule the pipeline again.") from None


def check_ticks() -> None:
    """Raises ConfigurationError where ticks cannot be told here."""
    _simulator()


def _simulator() -> Any:
    try:
        from cronsim import CronSim
    except ImportError:
        raise ConfigurationError(_MISSING) from None
    return CronSim


def local(schedule: Mapping[str, Any], tick: float) -> datetime:
    """A tick by the schedule's own clock; by UTC where its time zone is not known here."""
    try:
        return datetime.fromtimestamp(tick, ZoneInfo(schedule["timezone"]))
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return datetime.fromtimestamp(tick, timezone.utc)
