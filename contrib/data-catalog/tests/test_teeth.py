"""The contract finds what is wrong: each of these catalogs is caught by the promise that it breaks."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from dovetail_data_catalog.contract import DataCatalogContract
from dovetail_data_catalog.file import FileCatalog
from dovetail_data_catalog.interface import CatalogEntry


class KeepsTheFirst(FileCatalog):
    def publish(self, entries: Sequence[CatalogEntry]) -> None:
        known = {entry.key for entry in self.entries()}
        super().publish([entry for entry in entries if entry.key not in known])


class SortsVersionsAsText(FileCatalog):
    def entries(self) -> Sequence[CatalogEntry]:
        return sorted(super().entries(), key=lambda entry: (entry.name, [-ord(character) for character in str(entry.version)]))


class DropsMetadata(FileCatalog):
    def publish(self, entries: Sequence[CatalogEntry]) -> None:
        super().publish([dataclasses.replace(entry, metadata={}) for entry in entries])


class RewritesItsFile(FileCatalog):
    """Reads, adds and writes, so that of two who publish at once one is lost."""

    def _append(self, lines: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        before = self._table.read_bytes() if self._table.exists() else b""
        time.sleep(0.01)  # as long as another takes to come in between
        self._table.write_bytes(before + lines)


class RemembersInMemory(FileCatalog):
    def __post_init__(self) -> None:
        self._known: list[CatalogEntry] = []

    def publish(self, entries: Sequence[CatalogEntry]) -> None:
        self._known.extend(entries)

    def entries(self) -> Sequence[CatalogEntry]:
        return list(self._known)


class WantsEverything(FileCatalog):
    def wants(self, name: str) -> bool:
        return True


@pytest.mark.parametrize(
    ("wrong", "promise"),
    [
        (KeepsTheFirst, "test_what_is_said_later_counts"),
        (SortsVersionsAsText, "test_versions_are_listed_by_name_newest_first"),
        (DropsMetadata, "test_what_was_published_is_known_as_it_was"),
        (RewritesItsFile, "test_what_is_published_at_once_is_all_kept"),
        (RemembersInMemory, "test_another_instance_with_its_configuration_knows_it"),
        (WantsEverything, "test_only_what_is_wanted_is_published"),
    ],
)
def test_each_wrong_catalog_is_caught_by_the_promise_it_breaks(wrong: type[FileCatalog], promise: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        getattr(DataCatalogContract(), promise)(wrong(path=tmp_path / "catalog"))
