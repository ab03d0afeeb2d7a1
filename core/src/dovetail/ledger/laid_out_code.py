"""Code packages laid out as folders of the user's cache: whole or not at all, once per machine, and never used after somebody changed them."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dovetail.errors import Corrupt
from dovetail.ledger.code_packages import RECORD, Contents, digest_of, read_code
from dovetail.ledger.records import Records
from dovetail.values.project import FOLDER, MARKER, cache_folder

_WRITTEN = 1_000_000_000  # s; the time that each file says: who changes one changes this too


@dataclass(frozen=True)
class LaidOut:
    """`roots`: the folders in it that modules are imported from, first things first."""

    folder: Path
    roots: tuple[str, ...]


def lay_out(records: Records, package: str) -> LaidOut:
    """The folder with a package's files, made unless there is one that is as it was made.

    Raises Corrupt for a package that is not what was written.
    """
    base = cache_folder() / "code" / package
    aside: Path | None = None
    for number in itertools.count():  # an earlier one in which a step changed files may still be in use
        folder = base / str(number)
        if not folder.exists():
            aside = aside or _written_aside(base, *_contents(records, package))
            aside = None if _renamed(aside, folder) else aside
        found = _intact(folder)
        if found is not None:
            break
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
    assert found is not None  # the loop ends with one
    return LaidOut(folder, tuple(os.path.join(folder, *root.split("/")) if root else str(folder) for root in found.roots))


def _contents(records: Records, package: str) -> tuple[dict[str, bytes], Contents]:
    files, origins = read_code(records, package)
    if digest_of(files) != package:
        raise Corrupt(f"The code package {package[:12]} is not what was written. `dovetail store verify --repair` moves it aside.")
    if RECORD in files:
        contents = Contents.of(files.pop(RECORD))
    else:
        places = {name: origins.get(name, name).lstrip("/") for name in files}
        roots = sorted({place.removesuffix(name).rstrip("/") for name, place in places.items()})
        files = {places[name]: data for name, data in files.items()}
        contents = Contents(roots, {name: len(data) for name, data in files.items()})
    escaping = [name for name in files if PurePosixPath(name).is_absolute() or ".." in name.split("/") or ("\\" in name and os.name == "nt")]
    if escaping:
        raise Corrupt(f"The code package {package[:12]} holds {escaping[0]!r}, which lies outside of it, so it is not used.")
    return files, contents


def _written_aside(base: Path, files: Mapping[str, bytes], contents: Contents) -> Path:
    aside = base / f"aside-{os.getpid()}-{time.time_ns()}"
    runnable = frozenset(contents.executable)
    for name, data in {f"{FOLDER}/{MARKER}": b"", **files, RECORD: contents.to_bytes()}.items():
        file = aside / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if name in runnable:
            file.chmod(0o755)
        os.utime(file, (_WRITTEN, _WRITTEN))
    return aside


def _renamed(aside: Path, folder: Path) -> bool:
    """False where another process was faster."""
    try:
        aside.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        return False
    return True


def _intact(folder: Path) -> Contents | None:
    """What it holds, if each file still is what was laid out."""
    try:
        contents = Contents.of((folder / RECORD).read_bytes())
        for name, size in contents.sizes.items():
            status = os.stat(f"{folder}/{name}")
            if status.st_size != size or int(status.st_mtime) != _WRITTEN:
                return None
    except (OSError, ValueError):
        return None
    return contents
