"""Moving content: small objects in one request each, large ones in parallel parts, with a bounded number of parts in memory."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = 16 << 20  # bytes that are sent in one request
_PART = 8 << 20  # bytes
_MOST_PARTS = 9_000  # S3 takes 10,000
_IN_MEMORY = 128 << 20  # bytes of parts that are sent at one moment
_STEP = 1 << 20  # bytes read from an answer at once
_EMPTY = ("InvalidRange", "416")  # no range at all lies in an object of no bytes
_SINGLY = ("NotImplemented", "MethodNotAllowed", "501", "405")
_PAUSE = 0.1  # seconds before content that broke off is asked for again


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


@contextmanager
def uploaded(client: Any, request: dict[str, Any], source: Source, concurrency: int) -> Iterator[Callable[[], Any]]:
    """Send all parts; gives the call that makes the object of them unless there is one. Nothing is left of what was not completed."""
    place = {"Bucket": request["Bucket"], "Key": request["Key"]}
    place["UploadId"] = client.create_multipart_upload(**request)["UploadId"]
    done: list[Any] = []
    try:
        sent = {"Parts": _send(client, place, source, concurrency)}
        yield lambda: done.append(client.complete_multipart_upload(**place, MultipartUpload=sent, IfNoneMatch="*"))
    finally:
        if not done:
            with contextlib.suppress(Exception):  # it may have been completed, if the answer got lost
                client.abort_multipart_upload(**place)


def _send(client: Any, place: dict[str, Any], source: Source, concurrency: int) -> list[dict[str, Any]]:
    size = max(_PART, -(-source.size // _MOST_PARTS))

    def send(start: int) -> dict[str, Any]:
        number = start // size + 1
        told = client.upload_part(**place, PartNumber=number, Body=source.part(start, min(size, source.size - start)))
        sums = {name: value for name, value in told.items() if name.startswith("Checksum") and name != "ChecksumType"}
        return {"PartNumber": number, "ETag": told["ETag"], **sums}

    return _at_once(send, range(0, source.size, size), max(1, min(concurrency, _IN_MEMORY // size)))


def read(client: Any, place: dict[str, Any], attempts: int) -> bytes:
    """The whole content; asked for again when it breaks off."""

    def once() -> Any:
        return client.get_object(**place)["Body"].read()

    content: bytes = _until_whole(once, attempts)
    return content


def download(client: Any, place: dict[str, Any], target: Path, concurrency: int, attempts: int) -> None:
    """Write the content to a file. The first part tells how many more there are, which are then fetched side by side."""
    first = _first_part(client, place)
    with target.open("wb") as file:
        if first is None:
            return
        total = int(first["ContentRange"].rpartition("/")[2])
        file.truncate(total)
    whole = {**place, "IfMatch": first["ETag"]}

    def fetch(start: int) -> None:
        end = min(start + _PART, total)
        given = [first] if start == 0 else []

        def once() -> None:
            answer = given.pop() if given else client.get_object(**whole, Range=f"bytes={start}-{end - 1}")
            _write(answer["Body"], target, start)

        _until_whole(once, attempts)

    _at_once(fetch, range(0, total, _PART), concurrency)


def _first_part(client: Any, place: dict[str, Any]) -> Any:
    """The answer with the first bytes; None for an object of no bytes."""
    from botocore.exceptions import ClientError

    try:
        answer = client.get_object(**place, Range=f"bytes=0-{_PART - 1}")
    except ClientError as error:
        if error.response["Error"]["Code"] in _EMPTY:
            return None
        raise
    if not re.fullmatch(r"bytes 0-\d+/\d+", answer.get("ContentRange", "")):  # the service knows no ranges and sends all
        answer["ContentRange"] = f"bytes 0-{answer['ContentLength'] - 1}/{answer['ContentLength']}"
    return answer


def _write(body: Any, target: Path, start: int) -> None:
    with target.open("r+b", buffering=0) as file:
        file.seek(start)
        while chunk := body.read(_STEP):
            file.write(chunk)


def _until_whole(once: Callable[[], Any], attempts: int) -> Any:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    for number in range(1, attempts + 1):
        try:
            return once()
        except (HTTPClientError, IncompleteReadError):
            if number == attempts:
                raise
            time.sleep(_PAUSE * 2**number)
    raise AssertionError("attempts is at least 1")


def _at_once(work: Callable[[int], Any], starts: Iterable[int], concurrency: int) -> list[Any]:
    """What the work came to for each start, in order. After the first failure nothing more is begun."""
    starts = list(starts)
    if len(starts) <= 1:
        return [work(start) for start in starts]
    with ThreadPoolExecutor(min(concurrency, len(starts)), thread_name_prefix="dovetail-s3") as threads:
        begun: list[Future[Any]] = [threads.submit(work, start) for start in starts]
        try:
            return [future.result() for future in begun]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def delete_many(client: Any, bucket: str, keys: list[str]) -> None:
    """At most 1,000 objects, in one request where the service can."""
    from botocore.exceptions import ClientError

    if not keys:
        return
    try:
        told = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
    except ClientError as error:
        if error.response["Error"]["Code"] not in _SINGLY:
            raise
        for key in keys:
            client.delete_object(Bucket=bucket, Key=key)
        return
    for problem in told.get("Errors", ()):
        raise ClientError({"Error": problem, "ResponseMetadata": {}}, "DeleteObjects")
