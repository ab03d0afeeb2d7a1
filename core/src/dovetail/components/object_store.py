"""What artifact stores have in common that lie in a bucket, whoever's service it is."""

from __future__ import annotations

import os
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from dovetail.components import transfers
from dovetail.components.artifact_store import ArtifactStore, Entry
from dovetail.components.transfers import Conflict, ObjectStoreError, Part, Source, Taken
from dovetail.errors import ConfigurationError, StoreError

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds before a create is tried again that met another at the same moment
_CLOCK_KEPT = 60.0  # seconds for which the last answer's date is gone by


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """`key`: with the store's prefix. `modified`: seconds since 1970. `writer`: the mark of whoever created it, where that was asked for."""

    key: str
    size: int
    modified: float
    writer: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing: `folders` are keys that end with '/'."""

    objects: Sequence[ObjectInfo]
    folders: Sequence[str] = ()


class ObjectStore(ArtifactStore):
    """Write the seven methods from `put_object` on, each one request or few; what it needs beside `path` are fields of your own.

    Errors are raised as those of `dovetail.components.transfers`, an object that is not there as FileNotFoundError (`absent`).
    A create carries its writer's mark. Where the answer got lost, or another writer was at it, the mark tells who made the object.
    Call `heard` with the date of each answer: it is the store's clock. `key_of(path)` is the object's name in the bucket.
    """

    scheme: ClassVar[str] = ""  # what `path` begins with: `s3` for s3://bucket/prefix
    bucket_names: ClassVar[str] = r"[A-Za-z0-9._-]{3,255}"  # a regular expression
    small: ClassVar[int] = 16 << 20  # bytes that are sent in one request
    part: ClassVar[int] = 8 << 20  # bytes of a larger object that are moved in one request
    attempts: int = field(default=4, metadata={"help": "How often a request is made before its failure counts."})
    path: str = field(metadata={"help": "The bucket and a prefix in it."})
    max_concurrency: int = field(default=8, metadata={"help": "Parts of a large object that are moved at once."})
    trusted: bool = field(default=False, metadata={"help": "Load pickled payload too: all who can write to the bucket are trusted."})

    def __post_init__(self) -> None:
        parts = urlsplit(self.path)
        if parts.scheme != self.scheme or not re.fullmatch(self.bucket_names, parts.netloc) or parts.query or parts.fragment:
            seen = repr(self.path) if "@" not in self.path else "an address with credentials in it, which belong into fields of their own"
            raise ConfigurationError(f"`path` is {seen}. Write it as {self.scheme}://bucket/prefix.")
        if self.max_concurrency < 1:
            raise ConfigurationError("`max_concurrency` is the number of parts moved at once. Set it to 1 or more.")
        self._bucket, prefix = parts.netloc, parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._answered: tuple[str, float] = ("", 0.0)

    # -- what a service is asked ---------------------------------------------------------------------------------------

    @abstractmethod
    def put_object(self, path: str, content: bytes, writer: str | None) -> None:
        """With `writer` only where there is none, else Taken, and the mark goes with it; without, whatever was there."""

    @abstractmethod
    def upload_object(self, path: str, source: Source, writer: str) -> AbstractContextManager[Callable[[], object]]:
        """Send a large object's parts. The call that it gives makes the object of them, unless there is one: Taken.

        Nothing may be left of what was not completed. `in_parts` sends side by side.
        """

    @abstractmethod
    def head_object(self, path: str) -> ObjectInfo | None: ...

    @abstractmethod
    def get_object(self, path: str, span: tuple[int, int] | None = None, version: str = "") -> Part | None:
        """The content, or that of a span [start, end), which may end behind the object; None where no byte lies in it.

        With `version` only while it is that one, else Taken.
        """

    @abstractmethod
    def list_objects(self, prefix: str, *, deep: bool) -> Iterator[Page]:
        """All below a prefix of keys; where it is not deep, what has a '/' behind the prefix as folders."""

    @abstractmethod
    def delete_object(self, path: str) -> None: ...

    def delete_objects(self, keys: Sequence[str]) -> None:
        """Those of one page, side by side. Override it where many are deleted in one request."""
        paths = [key[len(self._prefix) :] for key in keys]
        transfers.at_once(lambda number: self.delete(paths[number]), range(len(paths)), self.max_concurrency)

    def in_parts(self, send: Callable[[int, int], transfers.T], total: int, part: int = 0) -> list[transfers.T]:
        """What `send(start, size)` gave for each part, in order; `max_concurrency` at once, unless they would fill the memory."""
        return transfers.in_parts(send, total, part or self.part, self.max_concurrency)

    def key_of(self, path: str) -> str:
        if ".." in path and ".." in path.split("/"):
            raise StoreError(f"The path {path!r} leaves its artifact store.")
        return self._prefix + path

    def heard(self, date: str) -> None:
        """The Date header of an answer."""
        self._answered = (date, time.monotonic())

    # -- objects -------------------------------------------------------------------------------------------------------

    def create(self, path: str, data: bytes | Path) -> bool:
        source, writer = Source.of(data), os.urandom(16).hex()
        if source.size <= self.small:
            content = source.part(0, source.size)
            return self._created(path, writer, lambda: self.put_object(path, content, writer))
        if self.stat(path) is not None:  # else all of it would be sent before the answer is no
            return False
        with self.upload_object(path, source, writer) as complete:
            return self._created(path, writer, complete)

    def _created(self, path: str, writer: str, put: Callable[[], object]) -> bool:
        """Whether this writer made the object. What the answer does not tell is looked up by the writer's mark."""
        failure, repeated = ObjectStoreError(""), False
        for pause in _PAUSES:
            try:
                put()
                return True
            except ObjectStoreError as error:
                failure = error
            repeated = repeated or failure.repeated
            if isinstance(failure, Taken) and not repeated:
                return False
            if not isinstance(failure, Conflict):
                break
            repeated = True
            time.sleep(pause)
        if isinstance(failure, Taken) or failure.is_uncertain:
            return self._is_mine(path, writer, failure)
        raise failure

    def _is_mine(self, path: str, writer: str, failure: ObjectStoreError) -> bool:
        try:
            found = self.head_object(path)
        except OSError as error:
            raise (error if isinstance(failure, Taken) else failure) from None
        if found is None:
            raise failure
        return found.writer == writer

    def read(self, path: str) -> bytes:
        def once() -> bytes:
            found = self.get_object(path)
            return b"".join(found.chunks) if found is not None else b""

        return transfers.until_whole(once, self.attempts)

    def fetch(self, path: str, target: Path) -> None:
        def get(start: int, end: int, version: str) -> Part | None:
            return self.get_object(path, (start, end), version)

        transfers.download(get, target, self.part, self.max_concurrency, self.attempts)

    def overwrite(self, path: str, data: bytes) -> None:
        self.put_object(path, data, None)

    def stat(self, path: str) -> Entry | None:
        found = self.head_object(path)
        return _entry(found) if found is not None else None

    def delete(self, path: str) -> None:
        try:
            self.delete_object(path)
        except FileNotFoundError:
            return  # some services say so

    # -- folders -------------------------------------------------------------------------------------------------------

    def scan(self, folder: str) -> Iterator[Entry]:
        prefix = self._below(folder)
        for page in self.list_objects(prefix, deep=False):
            for key in page.folders:
                yield Entry(key[len(prefix) : -1], is_folder=True)
            for found in page.objects:
                if len(found.key) > len(prefix):  # consoles make an empty object for a folder
                    yield _entry(found)

    def walk(self, folder: str) -> Iterator[tuple[str, Entry]]:
        for page in self.list_objects(self._below(folder), deep=True):
            for found in page.objects:
                if not found.key.endswith("/"):
                    yield found.key[len(self._prefix) :], _entry(found)

    def delete_folder(self, folder: str) -> None:
        for page in self.list_objects(self._below(folder), deep=True):
            if page.objects:
                self.delete_objects([found.key for found in page.objects])

    def _below(self, folder: str) -> str:
        return self.key_of(f"{folder}/") if folder else self._prefix

    # -- the component -------------------------------------------------------------------------------------------------

    def uri(self, path: str) -> str:
        return f"{self.scheme}://{self._bucket}/{self.key_of(path)}"

    def now(self) -> float:
        """By the date of the last answer, so that it seldom takes a request of its own."""
        if not self._answered[0] or time.monotonic() - self._answered[1] > _CLOCK_KEPT:
            self.head_object("clock")
        date, at = self._answered
        if not date:
            return super().now()
        from email.utils import parsedate_to_datetime

        return parsedate_to_datetime(date).timestamp() + time.monotonic() - at


def _entry(found: ObjectInfo) -> Entry:
    """Whole seconds: that is all that some answers give, and entries are compared."""
    return Entry(found.key.rpartition("/")[2], is_folder=False, size=found.size, modified=float(int(found.modified)))
