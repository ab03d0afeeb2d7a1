"""Moving content: small objects in one request each, large ones in parallel parts, with a bounded number of parts in memory."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dovetail.errors import StoreError

IN_MEMORY = 128 << 20  # bytes of parts that are moved at one moment
STEP = 1 << 20  # bytes read from an answer at once
_PAUSE = 0.1  # seconds before content that broke off is asked for again

T = TypeVar("T")


class ObjectStoreError(StoreError, OSError):
    """What a service of objects complains of, with the cure. `repeated`: it was asked more than once, so it may have done it the first time.

    `reached`: the service may have received the request.

        ObjectStoreError       the store cannot be used as configured
        ├── Taken              a condition does not hold: there is an object already, or it is no longer the same
        ├── Denied             a PermissionError: no credentials, wrong or expired ones, or not enough rights
        ├── Unreachable        a ConnectionError: nobody listens, the connection broke, or the service is overloaded
        │   ├── Conflict       another writer was at it at the same moment, so nothing was done
        │   └── BrokenOff      content that ended before its end, and is asked for again
        └── NoAnswer           a TimeoutError
    """

    def __init__(self, sentence: str, *, repeated: bool = False, reached: bool = True) -> None:
        super().__init__(sentence)
        self.repeated, self.reached = repeated, reached

    @property
    def is_uncertain(self) -> bool:
        """Whether what was asked for may have been done."""
        return self.reached and isinstance(self, (ConnectionError, TimeoutError))


class Taken(ObjectStoreError):
    pass


class Denied(ObjectStoreError, PermissionError):
    pass


class Unreachable(ObjectStoreError, ConnectionError):
    pass


class Conflict(Unreachable):
    pass


class BrokenOff(Unreachable):
    pass


class NoAnswer(ObjectStoreError, TimeoutError):
    pass


def absent(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "there is no such object", path)


@dataclass(frozen=True)
class Source:
    """Bytes, or a file, of which parts are taken."""

    data: bytes | Path
    size: int

    @classmethod
    def of(cls, data: bytes | Path) -> Source:
        return cls(data, data.stat().st_size if isinstance(data, Path) else len(data))

    def part(self, start: int, size: int) -> bytes:
        if isinstance(self.data, Path):
            with self.data.open("rb") as file:
                file.seek(start)
                return file.read(size)
        return self.data if size == len(self.data) else self.data[start : start + size]


@dataclass(frozen=True)
class Part:
    """An answer with the bytes of an object from `start` on, `size` of them; the object has `total`.

    `version`: what tells this content from what may replace it. `chunks` raises BrokenOff where the answer ends too early.
    """

    start: int
    size: int
    total: int
    version: str
    chunks: Iterator[bytes]


def in_parts(send: Callable[[int, int], T], total: int, part: int, concurrency: int) -> list[T]:
    """What `send(start, size)` gave for each part, in order; as many are sent at once as fit into memory."""

    def one(start: int) -> T:
        return send(start, min(part, total - start))

    return at_once(one, range(0, total, part), max(1, min(concurrency, IN_MEMORY // part)))


def download(get: Callable[[int, int, str], Part | None], target: Path, part: int, concurrency: int, attempts: int) -> None:
    """Write the content to a file. The first part tells how many more there are, which are then fetched side by side.

    `get(start, end, version)`: the bytes from `start` up to `end`, of that version unless it is empty; None where there are none.
    """
    first = get(0, part, "")
    with target.open("wb") as file:
        if first is None:
            return
        file.truncate(first.total)
    version, given = first.version, [first]

    def fetch(start: int) -> None:
        def once() -> None:
            answer = given.pop() if start == 0 and given else get(start, min(start + part, first.total), version)
            if answer is not None:
                _write(answer, target)

        until_whole(once, attempts)

    at_once(fetch, range(0, first.total if first.size < first.total else 1, part), concurrency)


def _write(part: Part, target: Path) -> None:
    with target.open("r+b", buffering=0) as file:
        file.seek(part.start)
        for chunk in part.chunks:
            file.write(chunk)


def until_whole(once: Callable[[], T], attempts: int) -> T:
    """Content that breaks off is asked for again."""
    for number in range(1, attempts + 1):
        try:
            return once()
        except BrokenOff:
            if number == attempts:
                raise
            time.sleep(_PAUSE * 2**number)
    raise AssertionError("attempts is at least 1")


def at_once(work: Callable[[int], T], starts: Iterable[int], concurrency: int) -> list[T]:
    """What the work came to for each start, in order. After the first failure nothing more is begun."""
    starts = list(starts)
    if len(starts) <= 1:
        return [work(start) for start in starts]
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(min(concurrency, len(starts)), thread_name_prefix="dovetail-part") as threads:
        begun: list[Future[Any]] = [threads.submit(work, start) for start in starts]
        try:
            return [future.result() for future in begun]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
