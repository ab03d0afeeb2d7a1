"""What five fields of cron say, in the part of its language that every engine's clock reads alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_MONTHS = {name: number for number, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1)}
_DAYS = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_ABOVE = {"minute": "hour", "hour": "day", "day of the month": "month", "month": "year", "day of the week": "week"}
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>[0-9]{1,2}|[A-Z]{3})(?:-(?P<last>[0-9]{1,2}|[A-Z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?")
_ONE = re.compile(r"\b(\w+)-\1/\d+")
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # days of the months that have not 31


@dataclass(frozen=True)
class Cron:
    """`both`: a day has to fit of the month and of the week, as where one of the two begins with '*'; else either is enough.

    `wild`: it follows the clock by the minute or hour, and is no list of times of the day. `text`: as cronsim reads it the same.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both: bool
    wild: bool

    def fits(self, local: datetime) -> bool:
        """Whether that minute of the wall clock is one of its own."""
        return local.minute in self.minutes and local.hour in self.hours and self.fits_day(local)

    def fits_day(self, local: datetime) -> bool:
        of_month, of_week = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return local.month in self.months and (of_month and of_week if self.both else of_month or of_week)


def read_cron(text: str) -> Cron:
    """Raises ValueError with what is wrong and how to write it."""
    fields = text.upper().split()
    if len(fields) != len(_FIELDS):
        extra = ", without seconds or years" if len(fields) > len(_FIELDS) else ""
        raise ValueError(f"write five fields, minute hour day month weekday{extra}, such as '0 3 * * 1-5'")
    minutes, hours, days, months, weekdays = (_read(field, *about) for field, about in zip(fields, _FIELDS, strict=True))
    both = fields[2].startswith("*") or fields[4].startswith("*")
    if min(days) > max(_LONGEST.get(month, 31) for month in months):
        if both:
            raise ValueError("there is no such day in any of its months, so that it would never come")
        fields[2] = "*"  # in the text alone: the day of the week is what is left, and cronsim before 2.8 refuses the other
    wild = fields[0].startswith("*") or fields[1].startswith("*")
    text = _ONE.sub(r"\1", " ".join(fields))  # which cronsim takes for a range that has no end
    return Cron(text, minutes, hours, days, months, frozenset(day % 7 for day in weekdays), both, wild)


def _read(field: str, name: str, least: int, most: int, names: Mapping[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"its {name} {part.lower()!r} cannot be read; write numbers, names, lists, ranges and steps as in '*/15 8-18 * * MON-FRI'")
        first, last = (least, most) if match["all"] else _ends(match, names, most)
        step = int(match["step"] or 1)
        if first is None or last is None or not least <= first <= last <= most or step < 1:
            raise ValueError(f"its {name} {part.lower()!r} is outside of {least}-{most}, or a range that ends before it begins")
        if step > most - least + 1:
            raise ValueError(f"its {name} {part.lower()!r} steps by more than there is, so that it would come with each {_ABOVE[name]}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _ends(match: re.Match[str], names: Mapping[str, int], most: int) -> tuple[int | None, int | None]:
    """The range of a part; None for a name that the field has not."""
    first = int(match["first"]) if match["first"].isdecimal() else names.get(match["first"])
    if match["last"] is None:
        return first, most if match["step"] else first
    return first, int(match["last"]) if match["last"].isdecimal() else names.get(match["last"])
