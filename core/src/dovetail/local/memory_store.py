"""An artifact store in this process's memory: not a local folder, so whatever works on it works on a bucket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

from dovetail.components import ArtifactStore, Entry

_LOCK = threading.RLock()  # one for the process, as the memory is


class MemoryArtifactStore(ArtifactStore):
    """`bucket`: stores of one name share their content. Other processes do not see it, so steps must run in this one."""

    atomic_create: ClassVar[str] = "a lock over this process's memory"

    confined = "process"

    bucket: str = field(default="default", metadata={"help": "Stores of one name share their content."})
    trusted: bool = field(default=True, metadata={"help": "Load pickled payload too: only this process can have written it."})

    def create(self, path: str, data: bytes | Path) -> bool:
        content = data.read_bytes() if isinstance(data, Path) else data
        with _LOCK:
            if self._files.exists(self._at(path)):
                return False
            self._files.pipe_file(self._at(path), content)
        return True

    def read(self, path: str) -> bytes:
        with _LOCK:
            return bytes(self._files.cat_file(self._at(path)))

    def overwrite(self, path: str, data: bytes) -> None:
        with _LOCK:
            self._files.pipe_file(self._at(path), data)

    def scan(self, folder: str) -> Iterator[Entry]:
        with _LOCK:
            try:
                found = self._files.ls(self._at(folder), detail=True)
            except FileNotFoundError:
                return
            entries = [self._entry(info) for info in found if info["name"] != self._at(folder)]
        yield from entries

    def delete(self, path: str) -> None:
        with _LOCK:
            if self._files.isfile(self._at(path)):
                self._files.rm_file(self._at(path))

    def stat(self, path: str) -> Entry | None:
        with _LOCK:
            return self._entry(self._files.info(self._at(path))) if self._files.isfile(self._at(path)) else None

    def now(self) -> float:
        return time.time()

    def _entry(self, info: dict[str, Any]) -> Entry:
        name = info["name"].rpartition("/")[2]
        if info["type"] == "directory":
            return Entry(name, is_folder=True)
        return Entry(name, is_folder=False, size=info["size"], modified=self._files.modified(info["name"]).timestamp())

    def _at(self, path: str) -> str:
        return f"/dovetail/{self.bucket}/{path}".rstrip("/")

    @property
    def _files(self) -> Any:
        import fsspec

        return fsspec.filesystem("memory")
