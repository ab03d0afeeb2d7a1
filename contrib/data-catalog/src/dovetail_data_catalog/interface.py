"""What every data catalog does."""

from __future__ import annotations

import fnmatch
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dovetail.components import Component


@dataclass(frozen=True)
class CatalogEntry:
    """One version of one artifact. `produced`: when its step ended, in ISO form with the offset from UTC; `size` in bytes.

    `uri` says where the payload lies as the store names it; `metadata` is JSON.
    """

    name: str
    version: int
    digest: str
    type: str
    kind: str = "data"
    size: int = 0
    uri: str = ""
    pipeline: str = ""
    run_id: str = ""
    run_name: str = ""
    step: str = ""
    produced: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.version


class DataCatalog(Component):
    """A stack that has one publishes to it, when a run ends, the named artifacts that the run produced."""

    component_type: ClassVar[str] = "data_catalog"

    only: tuple[str, ...] = field(default=("*",), metadata={"help": "Which artifacts are published, by name; * and ? stand for any characters."})

    @abstractmethod
    def publish(self, entries: Sequence[CatalogEntry]) -> None:
        """Make them known; of one that is known already, by name and version, what is said now counts."""

    @abstractmethod
    def entries(self) -> Sequence[CatalogEntry]:
        """All that it knows, by name, of one name the newest version first."""

    def search(self, words: str) -> Sequence[CatalogEntry]:
        """The entries that hold every word in name, tags, pipeline, type or metadata, whatever its case."""
        wanted = words.casefold().split()
        return [entry for entry in self.entries() if all(word in _words_of(entry) for word in wanted)]

    def wants(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.only)


def _words_of(entry: CatalogEntry) -> str:
    said = [entry.name, entry.pipeline, entry.type, *entry.tags, *(f"{name} {value}" for name, value in entry.metadata.items())]
    return " ".join(said).casefold()
