"""Small JSON records that are created once and never changed, and numbered logs made of them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from dovetail import digest
from dovetail.components.artifact_store import ArtifactStore
from dovetail.errors import Corrupt, NewerLayout, StoreError
from dovetail.ledger import layout
from dovetail.ledger.shapes import odd_field

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def dump(record: Mapping[str, Any]) -> bytes:
    return _compact(record).encode("utf-8", "surrogatepass")


class Records:
    """Reads and creates records in one store. It keeps no state of the store but the last number seen in each log."""

    def __init__(self, store: ArtifactStore) -> None:
        if not store.atomic_create:
            raise StoreError(f"Artifact store '{store.name}' cannot create atomically, so it cannot hold a ledger. Use another flavor.")
        self.store = store
        self._last_seen: dict[str, int] = {}
        self._format: dict[str, Any] | None = None

    def format(self, *, create: bool = False) -> dict[str, Any]:
        """The store's `format.json`, made when `create` and absent. Raises NewerLayout for one that a later Dovetail wrote."""
        if self._format is None:
            found = self.find(layout.FORMAT)
            if found is None and create:
                made = {"store": os.urandom(16).hex(), "layout": layout.LAYOUT, "hash": digest.HASH_NAME}
                found = made if self.create(layout.FORMAT, made) else self.find(layout.FORMAT)
                if found is None:
                    raise StoreError(
                        f"The store says of {layout.FORMAT} both that it is there and that it is not, so its answers are old ones. Try again; "
                        "if it goes on, see to it that no cache stands between here and the store."
                    )
            if found is None:
                return {}
            self._format = _supported(found)
        return self._format

    def trust(self, format_: Mapping[str, Any]) -> None:
        """Take another process's word for what `format.json` says. Raises NewerLayout."""
        self._format = self._format or _supported(dict(format_))

    def create(self, path: str, record: Mapping[str, Any]) -> bool:
        """Create a record; False if there is another one. An answer that got lost is looked up by the writer's nonce."""
        nonce = os.urandom(8).hex()
        try:
            if self.store.create(path, dump({**record, "nonce": nonce})):
                return True
        except (TimeoutError, ConnectionError):
            if self.store.stat(path) is None:
                raise
        return bool(self._nonce(path) == nonce)

    def _nonce(self, path: str) -> Any:
        """Its writer's; None for a record that nobody can read."""
        try:
            return parse(path, self.store.read(path)).get("nonce")
        except (FileNotFoundError, Corrupt):
            return None

    def find(self, path: str) -> dict[str, Any] | None:
        """The record, or None where there is none. Raises Corrupt for what is not what such a record must be, NewerLayout."""
        self._refuse_newer(path)
        try:
            data = self.store.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        record = parse(path, data)
        odd = odd_field(path, record)
        if odd is not None:
            raise Corrupt(f"The record {path} is not what was written: {odd}. `dovetail store verify --repair` moves it aside.")
        return record

    def _refuse_newer(self, path: str) -> None:
        if self._format is None and path != layout.FORMAT:
            with contextlib.suppress(Corrupt):  # whoever needs the store's id is told
                self.format()

    def get(self, path: str) -> dict[str, Any]:
        found = self.find(path)
        if found is None:
            raise StoreError(f"The record {path} is not in artifact store '{self.store.name}'.")
        return found

    def numbers(self, folder: str) -> list[int]:
        """The numbers in a log, ascending."""
        self._refuse_newer(folder)
        return sorted(int(entry.name[:-5]) for entry in self.store.scan(folder) if _is_numbered(entry.name))

    def append(self, folder: str, record: Mapping[str, Any], *, above: int = 0) -> int:
        """Claim the next number of a log by creating its record; who loses takes the next."""
        number = max(self._last_seen.get(folder, 0), above) + 1
        while not self.create(f"{folder}/{number}.json", record):
            number = self._first_free(folder, number + 1)
        self._last_seen[folder] = number
        return number

    def seen(self, folder: str, number: int) -> None:
        """A log's record of that number exists, whoever told."""
        self._last_seen[folder] = max(number, self.last_seen(folder))

    def last_seen(self, folder: str) -> int:
        return self._last_seen.get(folder, 0)

    def newest(self, folder: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The records of a log, newest first; unreadable ones are passed over."""
        for number in reversed(self.numbers(folder)):
            try:
                found = self.find(f"{folder}/{number}.json")
            except Corrupt:
                continue
            if found is not None:
                yield number, found

    def _first_free(self, folder: str, start: int) -> int:
        """The lowest number from `start` on that is free, by doubling steps and halving back: numbers have no gaps."""
        low, step = start, 1
        while self.store.stat(f"{folder}/{low + step - 1}.json") is not None:
            low, step = low + step, step * 2
        high = low + step - 1
        while low < high:
            middle = (low + high) // 2
            if self.store.stat(f"{folder}/{middle}.json") is not None:
                low = middle + 1
            else:
                high = middle
        return low


def parse(path: str, data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"The record {path} cannot be read: {error}. `dovetail store verify --repair` moves it aside.") from error
    if not isinstance(record, dict):
        raise Corrupt(f"The record {path} is no JSON object. `dovetail store verify --repair` moves it aside.")
    return record


def _supported(found: dict[str, Any]) -> dict[str, Any]:
    written, hashed = found.get("layout"), found.get("hash")
    if not isinstance(written, int) or written > layout.LAYOUT or hashed != digest.HASH_NAME:
        raise NewerLayout(
            f"This artifact store has layout {written} with {hashed}; this Dovetail reads layouts up to {layout.LAYOUT} with "
            f"{digest.HASH_NAME}. Upgrade it: pip install --upgrade dovetail."
        )
    return found


def _is_numbered(name: str) -> bool:
    return name.endswith(".json") and name[:-5].isdecimal()
