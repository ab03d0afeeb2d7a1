"""Project files by content, in one archive that a run's modules are imported from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from dovetail import digest
from dovetail.errors import Corrupt
from dovetail.ledger import generations, layout
from dovetail.ledger.records import Records

ARCHIVE = "package.zip"
_CONTENTS = "dovetail-package.json"


def store_code(records: Records, files: Mapping[str, bytes], origins: Mapping[str, str]) -> str:
    """Store files, by the path that they are imported by, and where each stood in its project; gives the package's digest."""
    package = digest_of(files)
    folder = layout.code(package)
    generations.note_use(records.store, folder)
    archive = f"{generations.place(folder, generations.for_writing(records.store, folder))}/{ARCHIVE}"
    if records.store.stat(archive) is None:
        records.store.create(archive, _packed(files, origins))
    return package


def read_code(records: Records, package: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of a package by import path, and where each stood. Raises Corrupt for an archive that cannot be read."""
    folder = layout.code(package)
    archive = f"{generations.place(folder, generations.for_reading(records.store, folder, ARCHIVE))}/{ARCHIVE}"
    return unpacked(archive, records.store.read(archive))


def unpacked(path: str, data: bytes) -> tuple[dict[str, bytes], dict[str, str]]:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        origins: dict[str, str] = json.loads(files.pop(_CONTENTS))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise Corrupt(
            f"The code package {path} cannot be read: {error}. `dovetail store verify --repair` moves it aside."
        ) from error
    return files, origins


def digest_of(files: Mapping[str, bytes]) -> str:
    return digest.of_json({name: digest.of_bytes(data) for name, data in files.items()})


def _packed(files: Mapping[str, bytes], origins: Mapping[str, str]) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {_CONTENTS: json.dumps(dict(origins), sort_keys=True).encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # a fixed date: equal files give an equal archive
    return buffer.getvalue()
