"""Files and folders: a `pathlib.Path` that a step returns stands for what lies there."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.encoding import Json

_CONTENT = "content"


class PathMaterializer(BaseMaterializer):
    """Saves a copy under the same name; loads as a Path into the artifact, which is read-only.

    Links are followed. A store keeps files only: empty folders are left out, with a warning.
    """

    ASSOCIATED_TYPES = ("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath")

    def save(self, value: Any) -> None:
        if type(value) is not type(pathlib.Path()):
            raise MaterializerError(
                f"A {type(value).__qualname__} would come back as a pathlib.Path. Return pathlib.Path(…) of it."
            )
        source = os.path.abspath(value)
        name = os.path.basename(source)
        if not name:
            raise MaterializerError(
                f"The path {value} is the root of a file system, which cannot be an artifact. Return a folder below it."
            )
        if not os.path.exists(source):
            raise MaterializerError(
                f"The path {value} leads to nothing, and a Path stands for the content of its file or folder. Write the file "
                "before the step "
                f"returns, or return str(path) where the name alone is meant."
            )
        if os.path.isdir(source) and os.path.realpath(self.uri).startswith(os.path.realpath(source) + os.sep):
            raise MaterializerError(
                f"The folder {source} holds the artifact store, which cannot hold itself. Return a folder without it."
            )
        _check_name(source)
        _copy(source, f"{self.uri}/{_CONTENT}/{name}")

    def load(self, data_type: Any) -> Any:
        names = os.listdir(f"{self.uri}/{_CONTENT}")
        if len(names) != 1:
            raise MaterializerError(
                f"{self.uri} should hold one file or folder and holds {len(names)}. Run `dovetail store verify`."
            )
        return pathlib.Path(self.uri, _CONTENT, names[0])

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        sizes = [os.path.getsize(file) for file in _files(f"{self.uri}/{_CONTENT}")]
        return {"name": os.path.basename(os.path.abspath(value)), "files": len(sizes), "bytes": sum(sizes)}


def _copy(source: str, target: str) -> None:
    if not os.path.isdir(source):
        os.makedirs(os.path.dirname(target))
        _copy_file(source, target)
        return
    copied = 0
    for folder, folders, files in _walk(source, ()):
        if not folders and not files and folder != source:
            warnings.warn(f"The folder {folder} is empty and not kept: an artifact holds files only.", stacklevel=4)
        for name in files:
            place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
            os.makedirs(place, exist_ok=True)
            _copy_file(os.path.join(folder, name), os.path.join(place, name))
            copied += 1
    if not copied:
        raise MaterializerError(f"The folder {source} holds no file, and an artifact holds files only. Write a file into it.")


def _walk(folder: str, above: tuple[str, ...]) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk does, through links to folders, in the order of the names."""
    real = os.path.realpath(folder)
    if real in above:
        raise MaterializerError(
            f"The link {folder} leads back to a folder that holds it. Remove the link, or return a folder without it."
        )
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        _check_name(entry.path)
    folders = [entry.name for entry in entries if entry.is_dir()]
    yield folder, folders, [entry.name for entry in entries if not entry.is_dir()]
    for name in folders:
        yield from _walk(os.path.join(folder, name), (*above, real))


def _copy_file(source: str, target: str) -> None:
    try:
        regular = stat.S_ISREG(os.stat(source).st_mode)
    except FileNotFoundError:
        raise MaterializerError(f"The link {source} leads to nothing. Remove it, or write the file that it names.") from None
    if not regular:
        raise MaterializerError(
            f"{source} is neither a file nor a folder but a pipe, socket or device. Return a path without it."
        )
    shutil.copyfile(source, target)


def _check_name(path: str) -> None:
    name = os.path.basename(path)
    if not name.isprintable():
        raise MaterializerError(f"The name {name!r} in {os.path.dirname(path)} cannot be stored everywhere. Rename it.")


def _files(folder: str) -> list[str]:
    return [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
