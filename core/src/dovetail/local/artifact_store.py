"""A folder as an artifact store: records are written aside and linked into place, payload folders are renamed."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import ClassVar

from dovetail.components.artifact_store import ArtifactStore, Entry
from dovetail.errors import StoreError

_ASIDE = "tmp"
_counter = itertools.count()
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
_NO_OBJECT = (IsADirectoryError, NotADirectoryError)  # what is there is a folder, or an object where a folder would have to be


class LocalArtifactStore(ArtifactStore):
    """Whoever can write to the folder of a store that is `trusted` can run code as its readers: pickled payload is loaded from it."""

    atomic_create: ClassVar[str] = "link(2)"

    path: Path = field(metadata={"help": "The folder; it is made when it is first written to."})
    trusted: bool = field(default=True, metadata={"help": "Load pickled payload too: all who can write to the folder are trusted."})
    durable: bool = field(default=False, metadata={"help": "fsync each record, at about a millisecond a record."})

    def __post_init__(self) -> None:
        self._root = os.path.abspath(os.path.expanduser(str(self.path)))
        self._aside = f"{self._root}/{_ASIDE}"

    def create(self, path: str, data: bytes | Path) -> bool:
        target = self._within(path)
        if os.path.lexists(target):
            return False  # link would say so too, once a file had been written aside in vain
        aside = f"{self._aside}/{os.getpid()}-{time.time_ns()}-{next(_counter)}"
        try:
            self._write(aside, data)
            try:
                os.link(aside, target)
            except FileNotFoundError:
                _make_folder(os.path.dirname(target))
                os.link(aside, target)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._explained(error, path) from error
        finally:
            _remove(aside)
        return True

    def _write(self, target: str, data: bytes | Path) -> None:
        if isinstance(data, Path):
            import shutil

            try:
                shutil.copyfile(data, target)
            except FileNotFoundError:
                _make_folder(os.path.dirname(target))
                shutil.copyfile(data, target)
            return
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileNotFoundError:
            _make_folder(os.path.dirname(target))
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, data[written:])
            if self.durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, path: str) -> bytes:
        try:
            with open(self._within(path), "rb", buffering=0) as file:
                return file.read()
        except _NO_OBJECT as error:
            raise _missing(path) from error

    def overwrite(self, path: str, data: bytes) -> None:
        target = self._within(path)
        aside = f"{self._aside}/{os.getpid()}-{time.time_ns()}-{next(_counter)}"
        try:
            self._write(aside, data)
            _make_folder(os.path.dirname(target))
            os.replace(aside, target)
        except OSError as error:
            _remove(aside)
            raise self._explained(error, path) from error

    def scan(self, folder: str) -> Iterator[Entry]:
        try:
            children = os.scandir(self._within(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        with children:
            for child in children:
                if not folder and child.name == _ASIDE:
                    continue
                if child.is_dir(follow_symlinks=False):
                    yield Entry(child.name, True)  # by position it takes half the time
                    continue
                try:
                    status = child.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted while we looked
                yield Entry(child.name, is_folder=False, size=status.st_size, modified=status.st_mtime)

    def folders(self, folder: str) -> list[str]:
        try:
            with os.scandir(self._within(folder)) as children:
                return [child.name for child in children if child.is_dir(follow_symlinks=False) and (folder or child.name != _ASIDE)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def stat(self, path: str) -> Entry | None:
        try:
            status = os.stat(self._within(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(status.st_mode):
            return None
        return Entry(path.rpartition("/")[2], is_folder=False, size=status.st_size, modified=status.st_mtime)

    def delete(self, path: str) -> None:
        target = self._within(path)
        try:
            _remove(target)
        except (*_NO_OBJECT, PermissionError) as error:  # macOS says of a folder that it is not permitted
            if isinstance(error, PermissionError) and not os.path.isdir(target):
                raise

    def delete_folder(self, folder: str) -> None:
        import shutil

        target = self._within(folder)
        while True:
            try:
                shutil.rmtree(target)
            except NotADirectoryError:
                return
            except FileNotFoundError:  # the folder itself, or something in it that another process has just deleted
                if not os.path.lexists(target):
                    return
            else:
                return

    def fetch(self, path: str, target: Path) -> None:
        import shutil

        try:
            shutil.copyfile(self._within(path), target)
        except _NO_OBJECT as error:
            raise _missing(path) from error

    def adopt(self, folder: Path, prefix: str) -> bool:
        target = self._within(prefix)
        for attempt in (1, 2):
            try:
                os.rename(folder, target)
                return True
            except FileNotFoundError as error:
                if attempt == 2 or not os.path.isdir(folder):
                    raise self._explained(error, prefix) from error
                _make_folder(os.path.dirname(target))
            except OSError as error:
                if error.errno in _TAKEN:
                    return False
                raise self._explained(error, prefix) from error
        return False

    def local_folder(self, folder: str) -> Path | None:
        return Path(self._within(folder))

    def staging_folder(self) -> Path | None:
        _make_folder(self._aside)
        return Path(self._aside)

    def _within(self, path: str) -> str:
        if ".." in path and ".." in path.split("/"):
            raise StoreError(f"The path {path!r} leaves its artifact store.")
        return f"{self._root}/{path}"

    def _explained(self, error: OSError, path: str) -> OSError:
        """The same kind of error, saying what was tried and what helps."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cure = "free some space, or `dovetail store gc`"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            cure = "check who may write there, or use another artifact store"
        elif error.errno in (errno.ENOTSUP, errno.EMLINK):
            cure = "this file system has no hard links; put the store on one that has"
        else:
            return error
        reason = os.strerror(error.errno or 0).lower()
        return type(error)(error.errno, f"cannot write '{path}' in the artifact store {self._root}: {reason}; {cure}")


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "there is no such object", path)


def _make_folder(path: str) -> None:
    """Like os.makedirs with exist_ok, but it asks nothing first."""
    try:
        os.mkdir(path)
    except FileNotFoundError:
        _make_folder(os.path.dirname(path))
        _make_folder(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def _remove(path: str) -> None:
    try:  # noqa: SIM105  # three times as fast as suppress, at every record
        os.unlink(path)
    except FileNotFoundError:
        pass
