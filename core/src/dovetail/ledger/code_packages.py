"""Project files by content, in one archive that a run's modules are imported from.

There are two kinds. One holds the files that a run's keys reached, by the path that they are imported by, for steps that run where the
project is. A *whole* one holds the project, by each file's path in it, with a record of how to use it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail import digest
from dovetail.errors import ConfigurationError, Corrupt
from dovetail.ledger import generations, layout
from dovetail.ledger.records import Records

ARCHIVE = "package.zip"
RECORD = ".dovetail/package.json"  # a whole package's own file, which counts in its digest as the others do
_ORIGINS = "dovetail-package.json"
_EXECUTABLE, _PLAIN = 0o100755, 0o100644


@dataclass(frozen=True, slots=True)
class Contents:
    """What a whole package says of itself.

    `roots`: folders in it that modules are imported from, first things first; "" is the package's own.
    `sizes`: in bytes, by file. `executable`: files that may be run.
    """

    roots: Sequence[str] = ("",)
    sizes: Mapping[str, int] = field(default_factory=dict)
    executable: Sequence[str] = ()

    def to_bytes(self) -> bytes:
        record = {"roots": list(self.roots), "files": dict(self.sizes), "executable": sorted(self.executable)}
        return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def of(cls, record: bytes) -> Contents:
        """Raises ValueError for what is no such record."""
        found: Any = json.loads(record)
        if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in _FIELDS.items()):
            raise ValueError("its record of what it holds is not one")
        return cls(tuple(map(str, found["roots"])), found["files"], tuple(map(str, found["executable"])))


_FIELDS = {"roots": list, "files": dict, "executable": list}


def store_code(records: Records, files: Mapping[str, bytes], origins: Mapping[str, str]) -> str:
    """Store files, by the path that they are imported by, and where each stood in its project; gives the package's digest."""
    package = digest_of(files)
    _store(records, package, lambda: _packed({_ORIGINS: json.dumps(dict(origins), sort_keys=True).encode(), **files}, ()))
    return package


def store_project(records: Records, digests: Mapping[str, str], contents: Contents, read: Callable[[str], bytes]) -> str:
    """Store a whole project, its files by their digests; `read` gives one's content, and is asked only if the store has not got them all.

    Raises ConfigurationError for a file that is another by the time it is read.
    """
    record = contents.to_bytes()
    package = project_digest(digests, record)

    def content(name: str) -> bytes:
        data = read(name)
        if digest.of_bytes(data) != digests[name]:
            raise ConfigurationError(f"{name} was changed while the project was being packaged. Run again once it is at rest.")
        return data

    def packed() -> bytes:
        return _packed({_ORIGINS: b"{}", RECORD: record, **{name: content(name) for name in sorted(digests)}}, contents.executable)

    _store(records, package, packed)
    return package


def project_digest(digests: Mapping[str, str], record: bytes) -> str:
    """The digest that a package of these files, and of that record of them, has."""
    return digest.of_json({**digests, RECORD: digest.of_bytes(record)})


def _store(records: Records, package: str, make: Callable[[], bytes]) -> None:
    folder = layout.code(package)
    generations.note_use(records.store, folder)
    archive = f"{generations.place(folder, generations.for_writing(records.store, folder))}/{ARCHIVE}"
    if records.store.stat(archive) is None:
        records.store.create(archive, make())


def read_code(records: Records, package: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of a package, and where each stood, by import path; a whole one gives nothing but its files.

    Raises Corrupt for an archive that cannot be read.
    """
    first = f"{layout.code(package)}/{ARCHIVE}"
    try:
        return unpacked(first, records.store.read(first))
    except FileNotFoundError:  # collected; stored again since, if at all
        archive = f"{_folder(records, package)}/{ARCHIVE}"
        return unpacked(archive, records.store.read(archive))


def unpacked(path: str, data: bytes) -> tuple[dict[str, bytes], dict[str, str]]:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        origins: dict[str, str] = json.loads(files.pop(_ORIGINS))
        if RECORD in files:
            Contents.of(files[RECORD])
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise Corrupt(
            f"The code package {path} cannot be read: {error}. `dovetail store verify --repair` moves it aside."
        ) from error
    return files, origins


def digest_of(files: Mapping[str, bytes]) -> str:
    return digest.of_json({name: digest.of_bytes(data) for name, data in files.items()})


def store_diff(records: Records, package: str, diff: bytes) -> str:
    """Keep beside a package how its files differ from the commit that they come from; gives the diff's digest."""
    name = digest.of_bytes(diff)
    records.store.create(f"{_folder(records, package)}/{_diff(name)}", diff)
    return name


def read_diff(records: Records, package: str, name: str) -> bytes:
    """Raises FileNotFoundError where it was not kept."""
    return records.store.read(f"{_folder(records, package)}/{_diff(name)}")


def _diff(name: str) -> str:
    return f"diffs/{name}.diff"


def _folder(records: Records, package: str) -> str:
    folder = layout.code(package)
    return generations.place(folder, generations.for_reading(records.store, folder, ARCHIVE))


def _packed(files: Mapping[str, bytes], executable: Sequence[str]) -> bytes:
    import zipfile

    buffer, runnable = io.BytesIO(), frozenset(executable)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # a fixed date: equal files give an equal archive
            entry.external_attr = (_EXECUTABLE if name in runnable else _PLAIN) << 16
            archive.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
