"""Everything that is recorded in one artifact store, by kind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.components.artifact_store import ArtifactStore
from dovetail.ledger import layout
from dovetail.ledger.artifacts import Artifacts
from dovetail.ledger.cache_entries import CacheEntries
from dovetail.ledger.records import Records
from dovetail.ledger.runs import RunRecords, run_ids
from dovetail.ledger.versions import Versions
from dovetail.materializers.finder import Materializers


class Ledger:
    """`records`, `artifacts`, `versions` and `cache` of one store; `run(id)` for one run's records."""

    def __init__(self, store: ArtifactStore, materializers: Materializers) -> None:
        self.store = store
        self.records = Records(store)
        self.artifacts = Artifacts(self.records, materializers)
        self.versions = Versions(self.records)
        self.cache = CacheEntries(self.records, self.artifacts)

    def run(self, run_id: str) -> RunRecords:
        return RunRecords(self.records, run_id)

    def runs_of(self, day: str) -> Iterator[str]:
        """Newest first."""
        return run_ids(self.records, day)

    @property
    def store_id(self) -> str | None:
        """None while nothing has been written."""
        return self.records.format().get("store")

    def change(self, record: Mapping[str, Any]) -> None:
        """Record something said later of an object that is there: a tag, metadata, a deletion."""
        path = f"changes/{layout.today()}/{time.time_ns():020}-{os.urandom(4).hex()}.json"
        self.records.format(create=True)
        self.records.create(path, {**record, "at": time.time()})

    def changes(self) -> Iterator[dict[str, Any]]:
        """All changes in the order in which they were made."""
        for day in sorted(entry.name for entry in self.store.scan("changes")):
            for name in sorted(entry.name for entry in self.store.scan(f"changes/{day}")):
                found = self.records.find(f"changes/{day}/{name}")
                if found is not None:
                    yield found
