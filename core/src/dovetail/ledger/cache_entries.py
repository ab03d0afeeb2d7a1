"""What a step gave for a key, so that it need not run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dovetail.errors import Corrupt
from dovetail.ledger import layout
from dovetail.ledger.artifacts import Artifacts
from dovetail.ledger.records import Records


class CacheEntries:
    def __init__(self, records: Records, artifacts: Artifacts) -> None:
        self._records = records
        self._artifacts = artifacts
        self._foreseen: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self._present_now: set[str] = set()
        self._kept_runs: dict[str, bool] = {}

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        self._records.append(layout.cache(key), entry)

    def entries(self, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """All entries of a key, newest first."""
        if key in self._foreseen:
            return iter(self._foreseen[key])
        return self._records.newest(layout.cache(key))

    def foresee(self, key: str) -> None:
        """Ask now for what `find` will ask; it takes the answers until `forget`."""
        found = list(self._records.newest(layout.cache(key)))
        for _, entry in found[:1]:
            digests = {output["digest"] for output in entry.get("outputs", {}).values()}
            self._present_now |= {digest for digest in digests if self._present(digest)}
            if entry["run"] not in self._kept_runs:
                self._kept_runs[entry["run"]] = self._records.store.stat(f"{layout.run(entry['run'])}/run.json") is not None
        self._foreseen[key] = found

    def forget(self) -> None:
        self._foreseen.clear()
        self._present_now.clear()
        self._kept_runs.clear()

    def is_committed(self, entry: Mapping[str, Any]) -> bool:
        """Whether the step run that an entry is of has its outcome still, so that the versions it claimed count."""
        kept = self._kept_runs.get(entry["run"])
        return kept if kept is not None else self._records.store.stat(f"{layout.step(entry['run'], entry['invocation'])}/outcome.json") is not None

    def find(self, key: str, holds: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any] | None:
        """The newest entry whose artifacts are present and whose readings still hold, else None."""
        for _, entry in self.entries(key):
            outputs = entry.get("outputs", {}).values()
            if holds(entry) and all(self._present(output["digest"]) for output in outputs):
                return entry
        return None

    def _present(self, digest: str) -> bool:
        if digest in self._present_now:
            return True
        try:
            return self._artifacts.present(digest)
        except Corrupt:
            return False  # the step runs again; `store verify` tells of the damage
