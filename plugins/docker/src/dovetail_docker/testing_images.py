"""Images for tests, made of what is on this machine."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

REPOSITORY = "dovetail-test/python"
_LEFT_OUT = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "site-packages", "dist-packages", "lib2to3"})
_MORE_LIBRARIES = ("libpthread.so.0", "librt.so.1", "libdl.so.2", "libm.so.6", "libutil.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libnss_files.so.2")


class Engine(Protocol):
    def client(self) -> Any:
        """A client of the docker SDK."""


def python_image(engine: Engine) -> str:
    """This very Python with pip and the libraries that it loads, each at its own path, and nothing else but a shell.

    An environment of this Python, mounted at its own path, works in it.
    """
    return _made(engine, f"{REPOSITORY}:{_stamp()}", _python_files)


def installed_image(engine: Engine, *distributions: str) -> str:
    """`python_image` with Dovetail and these distributions, and all that they need, installed as they are here."""
    names = ("dovetail", *distributions)
    from dovetail.planning.wheels import closure_of

    closure = closure_of(names)
    content = "\n".join(f"{name} {version}" for name, version in sorted(closure.items()))
    tag = hashlib.sha256(f"{_stamp()}\n{content}".encode()).hexdigest()[:16]
    return _made(engine, f"{REPOSITORY}-installed:{tag}", lambda: [*_python_files(), *_distribution_files(closure)])


def _made(engine: Engine, reference: str, files: Any) -> str:
    from docker.errors import ImageNotFound

    client = engine.client()
    try:
        client.images.get(reference)
    except ImageNotFound:
        repository, _, tag = reference.rpartition(":")
        path = f"{_folder_of_python()}:/usr/local/bin:/usr/bin:/bin"
        client.api.import_image_from_data(_archive(files()), repository=repository, tag=tag, changes=[f"ENV PATH={path}", "WORKDIR /"])
    return reference


def _archive(files: Iterable[tuple[str, Any]]) -> bytes:
    """A tar archive of (path, file, link target as `-> …`, or bytes)."""
    made = io.BytesIO()
    seen: set[str] = set()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for folder, mode in (("tmp", 0o1777), ("root", 0o700), ("proc", 0o755), ("dev", 0o755), ("sys", 0o755), ("etc", 0o755)):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, mode
            archive.addfile(info)
        for path, content in files:
            if path in seen:
                continue
            seen.add(path)
            info = tarfile.TarInfo(path.lstrip("/"))
            if isinstance(content, Path):
                info = archive.gettarinfo(os.path.realpath(content), arcname=path.lstrip("/"))
                info.type, info.linkname = tarfile.REGTYPE, ""  # hard links would point to what is not in it
                info.size = os.path.getsize(content)
                info.uid = info.gid = 0
                with open(content, "rb") as file:
                    archive.addfile(info, file)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _python_files() -> Iterator[tuple[str, Any]]:
    program = Path(os.path.realpath(sys.executable))
    standard = Path(os.__file__).parent
    yield str(program), program
    for name in ("python", "python3"):
        if program.name != name:
            yield str(program.with_name(name)), program.name
        yield f"/usr/local/bin/{name}", str(program)
    yield "/bin/sh", Path("/bin/sh")
    yield "/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
    yield "/etc/hosts", b"127.0.0.1 localhost\n"
    extensions: list[Path] = [program, Path(os.path.realpath("/bin/sh"))]
    for folder, names, files in os.walk(standard):
        names[:] = [name for name in names if name not in _LEFT_OUT and not name.startswith("config-")]
        for name in files:
            file = Path(folder) / name
            yield str(file), file
            if ".so" in name:
                extensions.append(file)
    yield from _pip_files(standard)
    for library in sorted(_libraries(extensions)):
        yield library, Path(library)


def _pip_files(standard: Path) -> Iterator[tuple[str, bytes]]:
    for wheel in (standard / "ensurepip" / "_bundled").glob("pip-*.whl"):
        yield from _unpacked(wheel.read_bytes(), standard / "site-packages")


def _distribution_files(closure: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    from dovetail.planning.wheels import wheel_of

    for name in closure:
        yield from _unpacked(wheel_of(name)[1], Path(os.__file__).parent / "site-packages")


def _unpacked(wheel: bytes, folder: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for name in archive.namelist():
            place = re.sub(r"^[^/]+\.data/(?:purelib|platlib)/", "", name)
            if not name.endswith("/") and ".data/" not in place:
                yield str(folder / place), archive.read(name)


def _libraries(files: Iterable[Path]) -> set[str]:
    """The shared libraries that these files load, by the paths at which the loader looks for them."""
    found: set[str] = set()
    said = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        match = re.search(r"(/\S+) \(0x", line)
        if match and os.path.exists(match[1]):
            found.add(match[1])
    folders = {os.path.dirname(path) for path in found}
    return found | {f"{folder}/{name}" for folder in folders for name in _MORE_LIBRARIES if os.path.exists(f"{folder}/{name}")}


def _folder_of_python() -> str:
    return os.path.dirname(os.path.realpath(sys.executable))


@functools.cache
def _stamp() -> str:
    """Another for each Python that there is here."""
    facts = f"3 {sys.version} {os.path.realpath(sys.executable)} {os.stat(os.__file__).st_mtime_ns}"
    return f"{sys.version_info.major}.{sys.version_info.minor}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
