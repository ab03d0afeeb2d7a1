"""Where artifacts and the ledger lie: a folder or a bucket."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field
from pathlib import Path
from typing import ClassVar, NamedTuple

from dovetail.components.component import Component
from dovetail.errors import StoreError


class Entry(NamedTuple):
    """One child of a folder in a store. `modified`: seconds since 1970 by the store's own clock; folders have neither size nor time."""

    name: str
    is_folder: bool
    size: int = 0
    modified: float = 0.0


class ArtifactStore(Component):
    """Paths are relative, with '/', and made of checked names. Missing things raise FileNotFoundError; what is denied, PermissionError.

    `create` is the one primitive of the ledger: atomic, whole content or nothing, and exactly one of many creators wins.
    `atomic_create` names the call that gives it (`link(2)`, `If-None-Match: *`); a store that leaves it empty holds no ledger.
    """

    component_type: ClassVar[str] = "artifact_store"
    atomic_create: ClassVar[str] = ""

    trusted: bool = field(default=False, metadata={"help": "Load pickled payload too: all who can write to the store are trusted."})

    @abstractmethod
    def create(self, path: str, data: bytes | Path) -> bool:
        """Make an object of these bytes or of this file's content; False, and nothing changed, if there is one already."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The whole content."""

    @abstractmethod
    def overwrite(self, path: str, data: bytes) -> None:
        """Put these bytes there whatever was there. Used for heartbeats alone."""

    @abstractmethod
    def scan(self, folder: str) -> Iterator[Entry]:
        """The direct children, in any order; nothing for a folder that does not exist."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove one object; no error when there is none."""

    def stat(self, path: str) -> Entry | None:
        """The entry of one object, or None. Override it where the store can ask for one object."""
        folder, _, name = path.rpartition("/")
        return next((entry for entry in self.scan(folder) if entry.name == name and not entry.is_folder), None)

    def folders(self, folder: str) -> list[str]:
        """The names of the folders that `scan` would give. Override it where these alone are asked for faster."""
        return [entry.name for entry in self.scan(folder) if entry.is_folder]

    def walk(self, folder: str) -> Iterator[tuple[str, Entry]]:
        """Every object below the folder, with its path. Override it where the store lists deeply in one request."""
        for entry in self.scan(folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_folder:
                yield from self.walk(path)
            else:
                yield path, entry

    def delete_folder(self, folder: str) -> None:
        """Remove every object below the folder, and the folder where there is such a thing."""
        for path, _ in list(self.walk(folder)):
            self.delete(path)

    def fetch(self, path: str, target: Path) -> None:
        """Write an object's content to a local file. Override it to stream."""
        target.write_bytes(self.read(path))

    def adopt(self, folder: Path, prefix: str) -> bool:
        """Take over a local folder as `prefix` at once, if the store can and nothing is there; False leaves everything as it was."""
        return False

    def local_folder(self, folder: str) -> Path | None:
        """The folder as a path on this machine, where objects can be read in place; None when they have to be fetched."""
        return None

    @property
    def is_far(self) -> bool:
        """Whether each request takes long, so that it pays to ask for many things at once."""
        return self.local_folder("") is None

    def local_folders(self) -> Sequence[Path]:
        root = self.local_folder("")
        return (root,) if root is not None else ()

    def uri(self, path: str) -> str:
        """How other tools call an object or folder. Override it where the store has a scheme that they know."""
        return f"{self.flavor}:///{path}"

    def staging_folder(self) -> Path | None:
        """A local folder from which `adopt` is a rename; None when any temporary folder will do."""
        return None

    def now(self) -> float:
        """The store's own clock, in seconds since 1970, to compare with `Entry.modified`."""
        path = f"clock/{os.urandom(16).hex()}"
        self.overwrite(path, b"")
        entry = self.stat(path)
        self.delete(path)
        return entry.modified if entry else time.time()

    def briefly(self) -> AbstractContextManager[object]:
        """Inside, on this thread, it gives up soon. Override it where answers are waited for and requests made again."""
        return nullcontext()

    def further_problems(self) -> list[str]:
        """What else is wrong with a store that holds a ledger well."""
        return []

    def check(self) -> list[str]:
        """Really create, read, refuse to create again, and delete a canary."""
        with self.briefly():
            return self._problems_with_creating() or self.further_problems()

    def _problems_with_creating(self) -> list[str]:
        canary, content = f"canary/{os.urandom(16).hex()}", os.urandom(16)
        if not self.atomic_create:
            return [f"Artifact store '{self.name}' names no atomic create, so it cannot hold a ledger. Use another flavor."]
        try:
            made = self.create(canary, content)
            again = self.create(canary, b"other")
            kept = self.read(canary) == content
            self.delete(canary)
        except StoreError as error:
            return [f"Artifact store '{self.name}' cannot be used: {error}"]  # it says its cure itself
        except OSError as error:
            return [f"Artifact store '{self.name}' cannot be used: {error}. Check that it exists and that you may write to it."]
        if made and not again and kept:
            return []
        return [f"Artifact store '{self.name}' does not honour create-if-absent ({self.atomic_create}); it would lose records."]
