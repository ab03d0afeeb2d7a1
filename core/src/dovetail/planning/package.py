"""The code that a run keeps: project files by content, in one archive that modules are imported from."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from dovetail import digest
from dovetail.ledger import layout
from dovetail.ledger.records import Records
from dovetail.values.project import Project

CONTENTS = "dovetail-package.json"
_packed: dict[tuple[tuple[str, int, int], ...], str] = {}
_kept: set[tuple[str, str]] = set()


def keep_code(records: Records, project: Project, files: Iterable[Path]) -> str | None:
    """Store these project files, once per content, and give the package's digest; None for no files."""
    places = import_paths(files)
    if not places:
        return None
    stamp = tuple((place, *_stamp(place)) for place in places.values())
    package = _packed.get(stamp)
    store = records.format(create=True)["store"]
    if package is None or (store, package) not in _kept:
        content = {name: Path(place).read_bytes() for name, place in places.items()}
        package = digest.of_json({name: digest.of_bytes(data) for name, data in content.items()})
        if records.store.stat(layout.code(package)) is None:
            origins = {name: project.relative(place) for name, place in places.items()}
            records.store.create(layout.code(package), _archive(content, origins))
        _packed[stamp] = package
        _kept.add((store, package))
    return package


def read_code(records: Records, package: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of a package by import path, and where each stood in its project."""
    with zipfile.ZipFile(io.BytesIO(records.store.read(layout.code(package)))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    origins: dict[str, str] = json.loads(files.pop(CONTENTS))
    return files, origins


def import_paths(files: Iterable[Path]) -> dict[str, str]:
    """Absolute file by its path below the folder that it is imported from, sorted."""
    roots = sorted({os.path.abspath(entry or os.getcwd()) for entry in sys.path if entry is not None}, key=len, reverse=True)
    places: dict[str, str] = {}
    for file in sorted(os.fspath(file) for file in files):
        root = next((root for root in roots if file.startswith(root + os.sep)), os.path.dirname(file))
        places.setdefault(file[len(root) + 1 :].replace(os.sep, "/"), file)
    return dict(sorted(places.items()))


def _archive(content: Mapping[str, bytes], origins: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {CONTENTS: json.dumps(dict(origins), sort_keys=True).encode(), **content}.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # a fixed date: equal files give an equal archive
    return buffer.getvalue()


def _stamp(place: str) -> tuple[int, int]:
    status = os.stat(place)
    return status.st_size, status.st_mtime_ns
