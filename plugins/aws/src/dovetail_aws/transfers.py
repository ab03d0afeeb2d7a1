"""Moving content to S3 and from it: multipart uploads, answers of which only a part may come, deleting many at once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dovetail.components.object_store import ObjectStore
from dovetail.components.transfers import STEP, BrokenOff, Part, Source, in_parts
from dovetail_aws.errors import translated

SMALL = ObjectStore.small
_MOST_PARTS = 9_000  # S3 takes 10,000
_SINGLY = ("NotImplemented", "MethodNotAllowed", "501", "405")


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
    size = max(ObjectStore.part, -(-source.size // _MOST_PARTS))

    def send(start: int, length: int) -> dict[str, Any]:
        number = start // size + 1
        told = client.upload_part(**place, PartNumber=number, Body=source.part(start, length))
        sums = {name: value for name, value in told.items() if name.startswith("Checksum") and name != "ChecksumType"}
        return {"PartNumber": number, "ETag": told["ETag"], **sums}

    return in_parts(send, source.size, size, concurrency)


def part_of(answer: dict[str, Any], where: str, path: str) -> Part:
    size = int(answer["ContentLength"])
    ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange", ""))  # a service that knows no ranges sends all
    start, total = (int(ranged[1]), int(ranged[2])) if ranged else (0, size)
    return Part(start, size, total, answer.get("ETag", ""), _chunks(answer["Body"], where, path))


def _chunks(body: Any, where: str, path: str) -> Iterator[bytes]:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    try:
        while chunk := body.read(STEP):
            yield chunk
    except (HTTPClientError, IncompleteReadError) as error:
        raise BrokenOff(str(translated(error, where, path))) from error


def delete_many(client: Any, bucket: str, keys: Sequence[str]) -> None:
    """At most 1,000 objects, in one request where the service can."""
    from botocore.exceptions import ClientError

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
