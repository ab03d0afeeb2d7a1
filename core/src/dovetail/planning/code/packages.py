"""Which installed distributions an import comes from, read from their metadata folders; nothing is imported."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

_METADATA = r"(?P<name>.+?)(?:-(?P<version>[^-]+))?(?:-py[\d.]+(?:-.+)?)?\.(?:dist|egg)-info"


class Distribution(NamedTuple):
    """`name` is normalised as in package indexes: lower case with single dashes."""

    name: str
    version: str
    metadata: str
    site: str

    def provides(self, path: str) -> bool:
        """Whether it holds this module (`google/cloud/storage`), as a file or as a folder with anything in it."""
        record = _content(os.path.join(self.metadata, "RECORD"))
        start = path.encode()
        if record is None:
            return start in (_content(os.path.join(self.metadata, "top_level.txt")) or b"").split()
        record = b"\n" + record
        if b"\n%b/" % start in record or b"\n%b.py," % start in record:
            return True
        return b"\n%b." % start in record and re.search(rb"\n%b\.[^/,\n]*(?:so|pyd)," % re.escape(start), record) is not None


@functools.lru_cache(maxsize=4096)
def distributions_of(imported: str) -> tuple[Distribution, ...]:
    """The distributions that hold what this dotted name imports; none for the standard library and what is not installed.

    Asked once per process and name: a package that is upgraded under a running process stays as it was loaded.
    """
    parts = imported.split(".")
    if parts[0] in sys.stdlib_module_names or parts[0] == "dovetail":
        return ()
    if not _is_namespace(parts[0]):
        return _providers(parts[0])
    found: tuple[Distribution, ...] = ()
    while parts and not found:  # many distributions share a namespace: the longest path says which
        found = _providers("/".join(parts))
        parts.pop()
    return found


@functools.lru_cache(maxsize=4096)
def _providers(path: str) -> tuple[Distribution, ...]:
    installed = _installed(tuple(sys.path))
    likely = installed.get(_normal(path))
    if likely is not None and likely.provides(path):
        return (likely,)
    return tuple(sorted((each for each in installed.values() if each.provides(path)), key=lambda each: each.name))


def _is_namespace(name: str) -> bool:
    contents = [os.listdir(place) for place in (os.path.join(entry, name) for entry in sys.path) if os.path.isdir(place)]
    return bool(contents) and not any(file.startswith("__init__.") for names in contents for file in names)


@functools.lru_cache(maxsize=8)
def _installed(path: tuple[str, ...]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for site in path:
        for distribution in _in_folder(site or os.curdir):
            found.setdefault(distribution.name, distribution)
    return found


def _in_folder(site: str) -> Iterator[Distribution]:
    try:
        names = sorted(os.listdir(site))
    except OSError:
        return
    for name in names:
        match = re.fullmatch(_METADATA, name)
        if match is None:
            continue
        metadata = os.path.join(site, name)
        version = match["version"] or _version(metadata)
        if version:
            yield Distribution(_normal(match["name"]), version, metadata, site)


def _version(metadata: str) -> str | None:
    text = _content(os.path.join(metadata, "PKG-INFO")) or _content(os.path.join(metadata, "METADATA")) or b""
    match = re.search(rb"^Version: *(\S+)", text, re.MULTILINE)
    return match[1].decode() if match else None


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
