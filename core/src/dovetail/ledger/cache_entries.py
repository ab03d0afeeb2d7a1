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

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        self._records.append(layout.cache(key), entry)

    def entries(self, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """All entries of a key, newest first."""
        return self._records.newest(layout.cache(key))

    def find(self, key: str, holds: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any] | None:
        """The newest entry whose artifacts are present and whose readings still hold, else None."""
        for _, entry in self.entries(key):
            outputs = entry.get("outputs", {}).values()
            if holds(entry) and all(self._present(output["digest"]) for output in outputs):
                return entry
        return None

    def _present(self, digest: str) -> bool:
        try:
            return self._artifacts.present(digest)
        except Corrupt:
            return False  # the step runs again; `store verify` tells of the damage
