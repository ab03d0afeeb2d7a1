"""Digests of a project's files, remembered from run to run as long as a file's size and times stay as they were."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from dovetail import digest
from dovetail.planning.code.source import content, is_pinned
from dovetail.planning.refused_files import KEY_WITHIN, holds_private_key
from dovetail.values.project import cache_folder

_SETTLED = 2_000_000_000  # ns; a file this old cannot be written again with the same times
_IN_ONE_READ = 1 << 20  # bytes
_Entry = list["int | str | bool"]  # size, time of content, time of change, inode, digest, whether it holds a private key

_remembered: dict[Path, dict[str, _Entry]] = {}


class FileDigests:
    """What is known of one project's files."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._before = _remembered[place] if place in _remembered else _read(place)
        self._now: dict[str, _Entry] = {}
        self._learned = False

    def of(self, name: str, path: str, status: os.stat_result) -> tuple[str, bool]:
        """The digest, and whether it is a private key. Raises OSError as `open` does."""
        if is_pinned(path):
            data = content(path)
            return digest.of_bytes(data), holds_private_key(data[:KEY_WITHIN])
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._before.get(name)
        if known is None or known[:4] != stamp:
            known = [*stamp, *_looked_at(path, status.st_size)]
            self._learned = True
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED:
            self._now[name] = known
        return str(known[4]), bool(known[5])

    def keep(self) -> None:
        """Keep what was learned for later; what was not asked for is forgotten."""
        _remembered[self._place] = self._now
        if self._learned or len(self._now) != len(self._before):
            with contextlib.suppress(OSError):  # a cache that cannot be written is none
                _write(self._place, self._now)


def digests_of_project(root: Path) -> FileDigests:
    return FileDigests(cache_folder() / "code-files" / f"{digest.of_bytes(os.fsencode(root))[:32]}.json")


def _looked_at(path: str, size: int) -> tuple[str, bool]:
    with open(path, "rb") as file:
        data = file.read(_IN_ONE_READ)
    return digest.of_bytes(data) if size < _IN_ONE_READ else digest.of_file(path), holds_private_key(data[:KEY_WITHIN])


def _read(place: Path) -> dict[str, _Entry]:
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(isinstance(entry, list) and len(entry) == 6 for entry in found.values())
    return found if whole else {}


def _write(place: Path, entries: dict[str, _Entry]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_suffix(f".{os.getpid()}")
    aside.write_bytes(json.dumps(entries, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    aside.replace(place)
