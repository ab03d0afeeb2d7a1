"""Installed distributions: what they need, and each as a wheel whose bytes follow from its content alone."""

from __future__ import annotations

import ast
import base64
import functools
import hashlib
import io
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from dovetail.errors import ConfigurationError
from dovetail.registry.requirements import folded
from dovetail.values.project import cache_folder

_EPOCH = (1980, 1, 1, 0, 0, 0)
_KEPT_FOR = 14 * 86_400.0  # seconds
_NOT_SHIPPED = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json", "uv_build.json"})
_FINDER = re.compile(r"^MAPPING(?::[^=]+)?\s*=\s*(\{.*?\})\s*$", re.MULTILINE | re.DOTALL)


def closure_of(requirements: Iterable[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions by normalised name of the installed distributions that these requirements need, themselves included.

    `environment`: what markers are asked of, where it is not this Python on this machine. What is not installed is left out.
    """
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    pending = [Requirement(text) for text in requirements]
    while pending:
        wanted = pending.pop()
        for extra in ("", *sorted(wanted.extras)):
            mark = (folded(wanted.name), extra)
            distribution = installed(wanted.name) if mark not in done else None
            done.add(mark)
            if distribution is None:
                continue
            found[mark[0]] = distribution.version
            pending += [
                needed
                for needed in map(Requirement, distribution.requires or ())
                if needed.marker is None or needed.marker.evaluate({**(environment or {}), "extra": extra})
            ]
    return dict(sorted(found.items()))


def installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def is_released(distribution: metadata.Distribution) -> bool:
    """Whether it came from an index; what was installed from a folder, a file or a repository notes where that was."""
    by_conda = (distribution.read_text("INSTALLER") or "").strip() == "conda"  # which notes the folder of whoever built the package
    return by_conda or distribution.read_text("direct_url.json") is None


def wheel_of(distribution: str) -> tuple[str, bytes]:
    """The file name and the content of a wheel of a distribution as it is installed here, from its sources where it is editable.

    Raises ConfigurationError where it is not installed, or does not say which files are its own.
    """
    found = installed(distribution)
    if found is None:
        raise ConfigurationError(f"'{distribution}' is not installed here, so there is nothing to make a wheel of. Install it.")
    files = dict(_shipped(found))
    tags = re.findall(r"^Tag: *(\S+)", found.read_text("WHEEL") or "", re.MULTILINE) or ["py3-none-any"]
    parts = [sorted({tag.split("-")[place] for tag in tags}) for place in range(3)]
    name = re.sub(r"[-_.]+", "_", found.metadata["Name"])
    return f"{name}-{found.version}-{'-'.join('.'.join(part) for part in parts)}.whl", _archive(files, f"{name}-{found.version}.dist-info")


def _shipped(distribution: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """(path in the wheel, content) of all that it owns, however it is installed."""
    files = distribution.files
    info = f"{re.sub(r'[-_.]+', '_', distribution.metadata['Name'])}-{distribution.version}"
    if files is None:
        raise ConfigurationError(f"'{distribution.metadata['Name']}' was installed without a list of its files. Install it again by pip or uv.")
    for file in files:
        place, path = str(file).replace(os.sep, "/"), Path(str(file.locate()))
        inside = re.match(r"[^/]+\.dist-info/(.+)", place)
        if inside:
            if inside[1] not in _NOT_SHIPPED and path.is_file():
                yield f"{info}.dist-info/{inside[1]}", path.read_bytes()
        elif place.endswith((".pyc", ".pyo")) or not path.is_file():
            continue
        elif _is_link(place):
            yield from _sources(distribution, place, path)
        elif not place.startswith(("../", "/")):
            yield place, path.read_bytes()
        elif not _is_script(distribution, path):
            yield from _beside(place, path, info)


def _is_link(place: str) -> bool:
    """Whether the file only leads to where an editable distribution's sources are."""
    return "/" not in place and (place.endswith(".pth") or re.fullmatch(r"_*editable_.*_finder\.py", place) is not None)


def _sources(distribution: metadata.Distribution, place: str, link: Path) -> Iterator[tuple[str, bytes]]:
    text = link.read_text(encoding="utf-8")
    if place.endswith(".py"):
        found = _FINDER.search(text)
        tops = {name: Path(path) for name, path in ast.literal_eval(found[1]).items()} if found else {}
    else:
        folders = [Path(line.strip()) for line in text.splitlines() if line.strip() and not line.startswith(("import ", "#"))]
        tops = {name: folder / name for folder in folders if folder.is_dir() for name in _top_levels(distribution, folder)}
        if not folders and not re.match(r"import +_*editable", text):
            yield place, link.read_bytes()
            return
    for name, path in sorted(tops.items()):
        yield from _module(name.replace(".", "/"), path)


def _module(place: str, path: Path) -> Iterator[tuple[str, bytes]]:
    single = path if path.is_file() else path.with_name(f"{path.name}.py")
    if not path.is_dir():
        if single.is_file():
            yield f"{place.removesuffix('.py')}.py", single.read_bytes()
        return
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if name != "__pycache__" and not name.startswith("."))
        for name in sorted(files):
            if not name.endswith((".pyc", ".pyo")):
                below = os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")
                yield f"{place}/{below}", Path(folder, name).read_bytes()


def _top_levels(distribution: metadata.Distribution, folder: Path) -> set[str]:
    """The modules of an editable distribution in a folder on the path, which may hold much else."""
    stated = (distribution.read_text("top_level.txt") or "").split()
    if stated:
        return set(stated)
    if folder.name == "src":
        packages = {path.name for path in folder.iterdir() if path.is_dir() and path.name.isidentifier() and path.name != "__pycache__"}
        return packages | {path.name for path in folder.glob("*.py")}
    entered = {point.value.partition(":")[0].partition(".")[0] for point in distribution.entry_points}
    likely = {re.sub(r"[-_.]+", "_", distribution.metadata["Name"]), *entered}
    return {name for name in likely if (folder / name).is_dir() or (folder / f"{name}.py").is_file()}


def _is_script(distribution: metadata.Distribution, path: Path) -> bool:
    """Whether an installer makes it anew from the entry points."""
    names = {point.name for point in distribution.entry_points if point.group in ("console_scripts", "gui_scripts")}
    return path.stem in names or path.name in names


def _beside(place: str, path: Path, info: str) -> Iterator[tuple[str, bytes]]:
    below = place.lstrip("./")
    kind, rest = ("scripts", below[4:]) if below.startswith("bin/") else ("data", below)
    if not place.startswith("/"):
        yield f"{info}.data/{kind}/{rest}", path.read_bytes()


def _archive(files: Mapping[str, bytes], info: str) -> bytes:
    """The same bytes for the same files: sorted, without times, stored as they are."""
    record = [f"{name},sha256={_checksum(content)},{len(content)}" for name, content in sorted(files.items())]
    listed = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [*sorted(files.items()), (f"{info}/RECORD", listed)]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o755 if ".data/scripts/" in name else 0o644) << 16
            archive.writestr(entry, content)
    return made.getvalue()


def _checksum(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def unreleased(distribution: str) -> tuple[str, str] | None:
    """The wheel's file name and sha256 of a distribution that no index has; None for one that came from an index.

    Made once per process, as what is imported does not change either, and kept in the cache folder for who builds the image.
    """
    return _unreleased(distribution, cache_folder())


@functools.lru_cache(maxsize=4096)  # more than are in one environment
def _unreleased(distribution: str, cache: Path) -> tuple[str, str] | None:
    found = installed(distribution)
    if found is None or is_released(found):
        return None
    name, content = wheel_of(distribution)
    digest = hashlib.sha256(content).hexdigest()
    file = _kept(name, digest, cache)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f"{name}.{os.getpid()}")
        aside.write_bytes(content)
        aside.replace(file)
        _forget_old(cache / "wheels")
    return name, digest


def _forget_old(folder: Path) -> None:
    """Each change of sources leaves a wheel."""
    for each in folder.iterdir():
        if time.time() - each.stat().st_mtime > _KEPT_FOR:
            shutil.rmtree(each, ignore_errors=True)


def kept_wheel(name: str, digest: str) -> bytes:
    """The wheel that was planned with. Raises ConfigurationError where it is lost, and what is installed is not the same any more."""
    file = _kept(name, digest, cache_folder())
    content = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(content).hexdigest() != digest:
        made, content = wheel_of(name.partition("-")[0].replace("_", "-"))
        if (made, hashlib.sha256(content).hexdigest()) != (name, digest):
            raise ConfigurationError(f"The sources of {name.partition('-')[0]} changed after the run was planned. Plan it again.")
    return content


def _kept(name: str, digest: str, cache: Path) -> Path:
    return cache / "wheels" / digest / name
