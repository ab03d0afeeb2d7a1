"""Moving content to Cloud Storage and from it: resumable uploads, and answers of which only a part may come."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from dovetail.components.transfers import STEP, BrokenOff, ObjectStoreError, Part, Source, Unreachable
from dovetail_gcp.connection import GcpConnection
from dovetail_gcp.errors import GoogleError, Kind, unasked
from dovetail_gcp.object_errors import translated

CHUNK = 32 << 20  # bytes that are sent at once; the service takes multiples of 256 KiB


class Upload:
    """A resumable upload. Nothing is to be seen of it before its last byte came, and then only where the condition holds that it began with."""

    def __init__(self, connection: GcpConnection, url: str, source: Source, what: str) -> None:
        self._connection, self._url, self._source, self._what = connection, url, source, what
        self._sent, self._is_done = 0, False

    def forget(self) -> None:
        """Unless it was finished, nothing is left of it."""
        if not self._is_done:
            with contextlib.suppress(Exception):  # the service forgets it by itself within a week
                self._connection.session().delete(self._url, timeout=10)

    def send_all_but_the_end(self) -> None:
        self._send((self._source.size - 1) // CHUNK * CHUNK)

    def finish(self) -> None:
        self._send(self._source.size)

    def _send(self, until: int) -> None:
        failures = 0
        while self._sent < until and not self._is_done:
            try:
                if failures:
                    self._ask(b"", f"bytes */{self._source.size}", repeated=True)  # the service says how much of it came
                self._ask_chunk(until, repeated=failures > 0)
                failures = 0
            except GoogleError as error:
                failures += 1
                if not error.is_passing or failures >= self._connection.attempts:
                    raise self._failed(error) from error
                self._connection.pause(failures)

    def _ask_chunk(self, until: int, *, repeated: bool) -> None:
        start, size = self._sent, min(CHUNK, until - self._sent)
        if size > 0 and not self._is_done:
            self._ask(self._source.part(start, size), f"bytes {start}-{start + size - 1}/{self._source.size}", repeated=repeated)

    def _ask(self, content: bytes, span: str, *, repeated: bool) -> None:
        headers = {"Content-Range": span}
        cures = {412: "Try again, once nothing else writes there"}
        answer = self._connection.asked_once(
            "PUT", self._url, self._what, cures=cures, repeated=repeated, data=content, headers=headers, allow_redirects=False
        )
        if answer.status_code != 308:
            self._is_done, self._sent = True, self._source.size
            return
        came = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
        self._sent = int(came[1]) + 1 if came else 0

    def _failed(self, error: GoogleError) -> ObjectStoreError:
        if error.kind is Kind.ABSENT or error.status == 410:  # the upload has gone; it may have been finished before
            return Unreachable(str(error), repeated=True)
        return translated(error)


def part_of(answer: Any, what: str) -> Part:
    size = int(answer.headers.get("Content-Length", 0))
    ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))  # without it all of it comes
    start, total = (int(ranged[1]), int(ranged[2])) if ranged else (0, size)
    return Part(start, size, total, answer.headers.get("x-goog-generation", ""), _chunks(answer, size, what))


def _chunks(answer: Any, size: int, what: str) -> Iterator[bytes]:
    import requests

    came = 0
    try:
        with answer:
            for chunk in answer.iter_content(STEP):
                came += len(chunk)
                yield chunk
    except requests.exceptions.RequestException as error:
        raise BrokenOff(str(unasked(error, what, repeated=False))) from error
    if came < size:
        raise BrokenOff(f"{what} got {came} of {size} bytes. Check the network and proxies.")
