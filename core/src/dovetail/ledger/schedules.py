"""Which record of each pipeline's schedules counts, read from the newest on."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dovetail.errors import Corrupt
from dovetail.ledger import layout
from dovetail.ledger.records import Records

SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Standing:
    """A pipeline's schedule that was not ended. `since`: from when on its ticks count. `paused`: since when, if it is."""

    number: int
    record: Mapping[str, Any]
    since: float
    paused: float | None = None

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def by_scheduler(self) -> bool:
        """Whether `dovetail scheduler` starts its runs, and no engine."""
        return self.record.get("kept_by") == SCHEDULER


def standing(newest: Iterable[tuple[int, Mapping[str, Any]]]) -> Standing | None:
    """What counts of one pipeline's records: the newest that an engine or the scheduler has."""
    paused: float | None = None
    resumed: float | None = None
    first: tuple[int, Mapping[str, Any]] | None = None
    for number, record in living(newest):
        if "cron" not in record:
            if paused is None and resumed is None:
                paused, resumed = (record["at"], None) if record.get("status") == "paused" else (None, record["at"])
            continue
        first = first or (number, record)
        if record.get("address") or record.get("kept_by") == SCHEDULER:
            return Standing(number, record, resumed or record["at"], paused)
    return Standing(*first, first[1]["at"]) if first is not None else None


def living(newest: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The records since the schedule was last ended."""
    return itertools.takewhile(lambda numbered: numbered[1].get("status") != "ended", newest)


def each_schedule(records: Records) -> Iterator[Standing]:
    for name in sorted(records.store.folders("schedules")):
        found = standing(records.newest(layout.schedules(name)))
        if found is not None:
            yield found


class KnownSchedules:
    """The schedules of a store for who looks often: each record is read once, and a look is one listing where nothing is new."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._read: dict[str, Mapping[str, Any] | None] = {}
        self.unreadable: dict[str, str] = {}

    def __iter__(self) -> Iterator[Standing]:
        numbers: dict[str, list[int]] = defaultdict(list)
        for path, entry in self._records.store.walk("schedules"):
            if entry.name.endswith(".json") and entry.name[:-5].isdecimal():
                numbers[path.rpartition("/")[0]].append(int(entry.name[:-5]))
        for folder in sorted(numbers):
            found = standing(self._newest(folder, numbers[folder]))
            if found is not None:
                yield found

    def _newest(self, folder: str, numbers: Iterable[int]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for number in sorted(numbers, reverse=True):
            found = self._find(f"{folder}/{number}.json")
            if found is not None:
                yield number, found

    def _find(self, path: str) -> Mapping[str, Any] | None:
        if path not in self._read:
            try:
                found = self._records.find(path)
            except Corrupt as error:
                self.unreadable[path] = str(error)
                found = None
            if found is not None and "plan" in found:  # of which the rest is read by who makes the run
                found = {**found, "plan": {name: found["plan"].get(name) for name in ("stack", "package")}}
            self._read[path] = found
        return self._read[path]
