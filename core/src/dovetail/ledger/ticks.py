"""Records of a schedule's ticks: who claims one decides which run it makes, and nobody can claim it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from dovetail.errors import Corrupt
from dovetail.ledger import layout
from dovetail.ledger.records import Records

_SETTLED = ".settled.json"


class Ticks:
    """Those of one pipeline. A claim holds the tick's `run`, or `why` it makes none; what settled it says whether that run began."""

    def __init__(self, records: Records, name: str) -> None:
        self.records = records
        self.name = name
        self.base = layout.ticks(name)

    def claim(self, due: float, record: Mapping[str, Any], *, engine: bool = False) -> bool:
        """False when another claim came first. `engine`: of a job that an engine's clock started, which is a tick of its own."""
        place = f"{_place(due)}-{record.get('run', record['at'])}" if engine else _place(due)
        return self.records.create(f"{self.base}/{place}.json", {**record, "name": self.name, "due": due})

    def find(self, due: float) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/{_place(due)}.json")

    def settle(self, due: float, record: Mapping[str, Any]) -> bool:
        """Record that the run of a claimed tick began, or `why` it cannot."""
        return self.records.create(f"{self.base}/{_place(due)}{_SETTLED}", record)

    def settled(self, due: float) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/{_place(due)}{_SETTLED}")

    def newest(self) -> Iterator[dict[str, Any]]:
        """The claims, newest first; unreadable ones are passed over."""
        for day, name in self._names():
            try:
                found = self.records.find(f"{self.base}/{day}/{name}")
            except Corrupt:
                continue
            if found is not None:
                yield found

    def claimed_since(self, moment: float) -> set[float]:
        """The ticks since then that are claimed, from the names of their records alone."""
        found: set[float] = set()
        for day, name in self._names(first=_place(moment)[:10]):
            if name[:4].isdecimal():
                found.add(datetime.strptime(f"{day} {name[:4]} +0000", "%Y-%m-%d %H%M %z").timestamp())
        return found

    def _names(self, first: str = "") -> Iterator[tuple[str, str]]:
        store = self.records.store
        for day in sorted(store.folders(self.base), reverse=True):
            if day < first:
                return
            names = (entry.name for entry in store.scan(f"{self.base}/{day}") if entry.name.endswith(".json"))
            yield from ((day, name) for name in sorted(names, reverse=True) if not name.endswith(_SETTLED))


def _place(due: float) -> str:
    return datetime.fromtimestamp(due, timezone.utc).strftime("%Y-%m-%d/%H%M")
