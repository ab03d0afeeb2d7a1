"""Deleting what nothing reaches any more, safely while others write: what is reachable is never deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from dovetail.components.artifact_store import Entry
from dovetail.errors import Corrupt
from dovetail.ledger import generations, layout
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.liveness import find_live, items_of

_DAY = 86_400.0
_LAST_WRITTEN = {"artifacts": "manifest.json", "code": "package.zip"}
_MARKS = ("used", "condemned")
_SHORT_LIVED = ("clock", "canary")


@dataclass(frozen=True)
class Garbage:
    """Something that can go. `kind`: artifact, code package, run, cache entry or leftover. `bytes`: what it takes up.

    `used`: when it was last used, in seconds since 1970.
    """

    kind: str
    path: str
    bytes: int
    used: float


@dataclass(frozen=True)
class _Candidate:
    """A folder of content. `paths`: its objects by generation. `newest`: the generation that a writer would use now."""

    garbage: Garbage
    digest: str
    folder: str
    newest: int
    paths: dict[int, list[str]] = field(default_factory=dict)


def find_garbage(ledger: Ledger, now: float | None = None) -> list[Garbage]:
    """What a collection would delete now. Raises StoreError while a record that could keep something cannot be read."""
    return _Collection(ledger, now).found()


def collect(ledger: Ledger, now: float | None = None) -> list[Garbage]:
    """Delete what has not been reachable, nor used for 14 days (30 days what the cache holds); gives what was deleted.

    Raises StoreError, with nothing deleted, while a record that could keep something cannot be read.
    """
    return _Collection(ledger, now).delete()


class _Collection:
    def __init__(self, ledger: Ledger, now: float | None) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._now = ledger.store.now() if now is None else now
        self._live = find_live(ledger)

    def found(self) -> list[Garbage]:
        candidates = self._candidates()
        gone = {candidate.digest for candidate in candidates}
        return [*self._runs(), *(candidate.garbage for candidate in candidates), *self._cache_entries(gone), *self._leftovers()]

    def delete(self) -> list[Garbage]:
        done = self._runs()
        for run in done:
            self._store.delete_folder(run.path)
        candidates = self._candidates()
        for candidate in candidates:
            if candidate.newest in candidate.paths:
                self._store.create(generations.condemned_mark(candidate.folder, candidate.newest), b"")
        doomed = self._still_unused(candidates)
        for candidate in self._containers_first(doomed):
            self._sweep(candidate)
            done.append(candidate.garbage)
        for garbage in [*self._cache_entries({candidate.digest for candidate in doomed}), *self._leftovers()]:
            self._remove(garbage.path)
            done.append(garbage)
        self._forget_old_marks()
        return done

    # -- content ---------------------------------------------------------------------------------------------------

    def _candidates(self) -> list[_Candidate]:
        return [*self._unreachable("artifacts", "artifact"), *self._unreachable("code", "code package")]

    def _unreachable(self, root: str, kind: str) -> Iterator[_Candidate]:
        for entry in list(self._store.scan(root)):
            if entry.is_folder and entry.name not in self._live.digests:
                candidate = self._candidate(root, kind, entry.name)
                if candidate.paths and self._is_old(candidate):
                    yield candidate

    def _candidate(self, root: str, kind: str, digest: str) -> _Candidate:
        folder = f"{root}/{digest}"
        objects = list(self._store.walk(folder))
        paths: dict[int, list[str]] = {}
        size = 0
        for path, entry in objects:
            inside = path[len(folder) + 1 :]
            if inside.partition("/")[0] not in _MARKS:
                paths.setdefault(_generation(inside), []).append(path)
                size += entry.size
        garbage = Garbage(kind, folder, size, _last_used(folder, objects))
        return _Candidate(garbage, digest, folder, generations.for_writing(self._store, folder), paths)

    def _is_old(self, candidate: _Candidate) -> bool:
        recent = self._live.recent.get(candidate.digest)
        last = max(candidate.garbage.used, recent or 0.0)
        days = layout.KEPT_UNUSED if recent is None else layout.CACHE_KEPT
        return self._now - last > days * _DAY

    def _still_unused(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Those that nobody used or reached since they were found; asked when all of them have been condemned."""
        if not candidates:
            return []
        self._live = find_live(self._ledger)
        doomed = []
        for candidate in candidates:
            marks = [(f"{candidate.folder}/used/{entry.name}", entry) for entry in self._store.scan(f"{candidate.folder}/used")]
            used = max(candidate.garbage.used, _last_used(candidate.folder, marks))
            if used == candidate.garbage.used and candidate.digest not in self._live.digests and self._is_old(candidate):
                doomed.append(candidate)
        return doomed

    def _containers_first(self, doomed: list[_Candidate]) -> list[_Candidate]:
        """A list before its items, so that at no moment a list lacks some."""
        by_digest = {candidate.digest: candidate for candidate in doomed}
        ordered: dict[str, _Candidate] = {}

        def place(digest: str) -> None:
            if digest in by_digest and digest not in ordered:
                for item in self._items(digest):
                    place(item)
                ordered[digest] = by_digest[digest]

        for digest in by_digest:
            place(digest)
        return list(reversed(ordered.values()))

    def _items(self, digest: str) -> tuple[str, ...]:
        try:
            return items_of(self._ledger, digest)
        except Corrupt:
            return ()  # nobody reaches it, and nobody could read it

    def _sweep(self, candidate: _Candidate) -> None:
        """Delete every condemned generation, the object that makes it visible first."""
        last_written = _LAST_WRITTEN[candidate.folder.partition("/")[0]]
        for generation, paths in candidate.paths.items():
            if generation <= candidate.newest:
                place = generations.place(candidate.folder, generation)
                self._store.delete(f"{place}/{last_written}")
                for path in paths:
                    self._store.delete(path)
                for entry in list(self._store.scan(place)):
                    if entry.is_folder and entry.name in ("data", "visualizations"):
                        self._store.delete_folder(f"{place}/{entry.name}")

    def _forget_old_marks(self) -> None:
        """The newest mark of use says all."""
        for root in _LAST_WRITTEN:
            for entry in list(self._store.scan(root)):
                days = sorted(mark.name for mark in self._store.scan(f"{root}/{entry.name}/used"))
                for day in days[:-1]:
                    self._store.delete(f"{root}/{entry.name}/used/{day}")

    # -- what is left behind -----------------------------------------------------------------------------------------

    def _runs(self) -> list[Garbage]:
        """Runs that were deleted, but not to the end, and folders of runs that never began."""
        found = []
        for day in list(self._store.scan("runs")):
            for entry in list(self._store.scan(f"runs/{day.name}")):
                folder = f"runs/{day.name}/{entry.name}"
                if entry.is_folder and entry.name not in self._live.begun:
                    modified = self._modified(folder)
                    if entry.name in self._live.deleted or self._now - modified > layout.KEPT_UNUSED * _DAY:
                        found.append(Garbage("run", folder, self._size(folder), modified))
        return found

    def _cache_entries(self, gone: set[str]) -> Iterator[Garbage]:
        """Entries that can never be hit again, as artifacts that they name have gone."""
        for path, entry in list(self._store.walk("cache")):
            if self._now - entry.modified > layout.KEPT_UNUSED * _DAY and self._names_one_of(path, gone):
                yield Garbage("cache entry", path, entry.size, entry.modified)

    def _names_one_of(self, path: str, gone: set[str]) -> bool:
        try:
            record = self._ledger.records.find(path) or {}
            digests = [output["digest"] for output in record.get("outputs", {}).values()]
            return any(digest in gone or self._ledger.artifacts.find(digest) is None for digest in digests)
        except Corrupt:
            return False  # `store verify` tells of it

    def _leftovers(self) -> Iterator[Garbage]:
        """What processes that died left behind while they wrote or checked."""
        for root in _SHORT_LIVED:
            for path, entry in list(self._store.walk(root)):
                if self._now - entry.modified > layout.KEPT_UNUSED * _DAY:
                    yield Garbage("leftover", path, entry.size, entry.modified)
        staging = self._store.staging_folder()
        for child in sorted(staging.iterdir()) if staging is not None else ():
            with contextlib.suppress(FileNotFoundError):  # its writer has just finished
                modified = child.lstat().st_mtime
                if self._now - modified > layout.KEPT_UNUSED * _DAY:
                    yield Garbage("leftover", str(child), _bytes_below(child), modified)

    def _remove(self, path: str) -> None:
        if not os.path.isabs(path):
            self._store.delete(path)
        elif os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    def _size(self, folder: str) -> int:
        return sum(entry.size for _, entry in self._store.walk(folder))

    def _modified(self, folder: str) -> float:
        return max((entry.modified for _, entry in self._store.walk(folder)), default=0.0)


def _generation(inside: str) -> int:
    first, _, rest = inside.partition("/")
    return int(first[1:]) if rest and first.startswith("g") and first[1:].isdecimal() else 0


def _last_used(folder: str, objects: Iterable[tuple[str, Entry]]) -> float:
    """By the marks of use, of which a clock that runs slow may have named the day, and by the content itself."""
    times = [0.0]
    for path, entry in objects:
        if path.startswith(f"{folder}/used/"):
            times.append(_day(entry.name))
        if not path.startswith(f"{folder}/condemned/"):
            times.append(entry.modified)
    return max(times)


def _day(name: str) -> float:
    try:
        return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def _bytes_below(place: Path) -> int:
    if not place.is_dir():
        return place.lstat().st_size
    return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file())
