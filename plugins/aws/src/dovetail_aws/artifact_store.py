"""A bucket as an artifact store: records are created by conditional writes, payload in parallel parts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from dovetail.components import ArtifactStore, Entry
from dovetail.errors import ConfigurationError, StoreError
from dovetail_aws.connection import AwsConnection, shown
from dovetail_aws.errors import ABSENT, Failure, code_of, explained, failure_of

_WRITER = "dovetail-writer"  # in an object's metadata: the mark of whoever created it
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds before a create is tried again that met another at the same moment
_CLOCK_KEPT = 60.0  # seconds for which the last answer's date is gone by
_AT_ONCE = 1000  # objects that one request lists, or deletes
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")  # services other than Amazon's allow more than it does
_CONNECTIONS = 64  # kept for threads that ask at one moment
_STYLES = {True: "path", False: "virtual", None: "auto"}


class S3ArtifactStore(AwsConnection, ArtifactStore):
    """Needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket. A multipart upload that died is left to the bucket's lifecycle rules."""

    atomic_create: ClassVar[str] = "PutObject with If-None-Match: *"

    path: str = field(metadata={"help": "The bucket and a prefix in it, as s3://bucket/prefix."})
    path_style: bool | None = field(
        default=None, metadata={"help": "Address the bucket in the path and not in the host; by default so where `endpoint_url` is set."}
    )
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = field(
        default=None, metadata={"help": "Encryption to ask for with each object; by default the bucket's own."}
    )
    kms_key: str | None = field(default=None, metadata={"help": "Id, ARN or alias of the KMS key; implies `encryption: aws:kms`."})
    max_concurrency: int = field(default=8, metadata={"help": "Parts of a large object that are moved at once."})
    trusted: bool = field(default=False, metadata={"help": "Load pickled payload too: all who can write to the bucket are trusted."})

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = urlsplit(self.path)
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
            raise ConfigurationError(f"`path` is {shown(self.path)}. Write it as s3://bucket/prefix.")
        if self.kms_key and self.encryption == "AES256":
            raise ConfigurationError("`kms_key` does not go with `encryption: AES256`. Leave one of them out.")
        if self.max_concurrency < 1:
            raise ConfigurationError("`max_concurrency` is the number of parts moved at once. Set it to 1 or more.")
        self._bucket = parts.netloc
        prefix = parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"Bucket '{self._bucket}'" + (f" at {self.endpoint_url}" if self.endpoint_url else "")
        self._answered: tuple[str, float] = ("", 0.0)

    # -- objects -------------------------------------------------------------------------------------------------------

    def create(self, path: str, data: bytes | Path) -> bool:
        from dovetail_aws.transfers import SMALL, Source, uploaded

        source = Source.of(data)
        writer = os.urandom(16).hex()
        request = {**self._object(path), **self._encryption(), "Metadata": {_WRITER: writer}}
        if source.size <= SMALL:
            body = source.part(0, source.size)
            return self._created(path, writer, lambda: self._s3.put_object(**request, Body=body, IfNoneMatch="*"))
        if self.stat(path) is not None:  # else all of it would be sent before the answer is no
            return False
        with explained(self._where, path), uploaded(self._s3, request, source, self.max_concurrency) as complete:
            return self._created(path, writer, complete)

    def _created(self, path: str, writer: str, put: Callable[[], Any]) -> bool:
        """Whether this writer made the object. What the answer does not tell is looked up by the writer's mark."""
        from botocore.exceptions import BotoCoreError, ClientError

        repeated = False
        for pause in _PAUSES:
            try:
                put()
                return True
            except (ClientError, BotoCoreError) as error:
                failure = failure_of(error, self._where, path)
            repeated = repeated or failure.repeated
            if failure.taken and not repeated:
                return False
            if not failure.conflict:
                break
            repeated = True
            time.sleep(pause)
        if failure.taken or failure.uncertain:
            return self._is_mine(path, writer, failure)
        raise failure.problem

    def _is_mine(self, path: str, writer: str, failure: Failure) -> bool:
        try:
            found = self._head(path)
        except OSError as error:
            raise (error if failure.taken else failure.problem) from None
        if found is None:
            raise failure.problem
        return bool(found.get("Metadata", {}).get(_WRITER) == writer)

    def read(self, path: str) -> bytes:
        from dovetail_aws.transfers import read

        with explained(self._where, path):
            return read(self._s3, self._object(path), self.attempts)

    def overwrite(self, path: str, data: bytes) -> None:
        with explained(self._where, path):
            self._s3.put_object(**self._object(path), **self._encryption(), Body=data)

    def stat(self, path: str) -> Entry | None:
        found = self._head(path)
        if found is None:
            return None
        return _entry(path.rpartition("/")[2], found["ContentLength"], found["LastModified"])

    def _head(self, path: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        with explained(self._where, path):
            try:
                return dict(self._s3.head_object(**self._object(path)))
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return None
                raise

    def delete(self, path: str) -> None:
        try:
            with explained(self._where, path):
                self._s3.delete_object(**self._object(path))
        except FileNotFoundError:
            return  # some services say so

    def fetch(self, path: str, target: Path) -> None:
        from dovetail_aws.transfers import download

        with explained(self._where, path):
            download(self._s3, self._object(path), target, self.max_concurrency, self.attempts)

    # -- folders -------------------------------------------------------------------------------------------------------

    def scan(self, folder: str) -> Iterator[Entry]:
        for page in self._pages(folder, Delimiter="/"):
            skipped = len(page["Prefix"])
            for child in page.get("CommonPrefixes", ()):
                yield Entry(child["Prefix"][skipped:-1], is_folder=True)
            for child in page.get("Contents", ()):
                if len(child["Key"]) > skipped:  # consoles make an empty object for a folder
                    yield _entry(child["Key"][skipped:], child["Size"], child["LastModified"])

    def walk(self, folder: str) -> Iterator[tuple[str, Entry]]:
        for page in self._pages(folder):
            for child in page.get("Contents", ()):
                path = child["Key"][len(self._prefix) :]
                if not path.endswith("/"):
                    yield path, _entry(path.rpartition("/")[2], child["Size"], child["LastModified"])

    def delete_folder(self, folder: str) -> None:
        from dovetail_aws.transfers import delete_many

        for page in self._pages(folder):
            keys = [child["Key"] for child in page.get("Contents", ())]
            with explained(self._where, folder):
                delete_many(self._s3, self._bucket, keys)

    def _pages(self, folder: str, **options: str) -> Iterator[dict[str, Any]]:
        """Answers to one listing, each with the prefix that was asked for."""
        prefix = self._key(f"{folder}/") if folder else self._prefix
        token: dict[str, str] = {}
        while True:
            with explained(self._where, folder):
                page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=_AT_ONCE, **options, **token)
            yield {**page, "Prefix": prefix}
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    # -- the component -------------------------------------------------------------------------------------------------

    def uri(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._key(path)}"

    def now(self) -> float:
        """By the date of the last answer, so that it seldom takes a request of its own."""
        if not self._answered[0] or time.monotonic() - self._answered[1] > _CLOCK_KEPT:
            self._head("clock")
        date, at = self._answered
        return parsedate_to_datetime(date).timestamp() + time.monotonic() - at if date else super().now()

    @property
    def _s3(self) -> Any:
        in_path = self.path_style if self.path_style is not None else True if self.endpoint_url is not None else None
        more: dict[str, Any] = {}
        if self.endpoint_url is not None:  # services other than Amazon's seldom know the newer checksums
            more = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
        style = {"addressing_style": _STYLES[in_path]}
        return self.client("s3", self._heard, s3=style, max_pool_connections=max(_CONNECTIONS, self.max_concurrency), **more)

    def _heard(self, http_response: Any, **_: Any) -> None:
        self._answered = (http_response.headers.get("Date", ""), time.monotonic())

    def _object(self, path: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._key(path)}

    def _key(self, path: str) -> str:
        if ".." in path and ".." in path.split("/"):
            raise StoreError(f"The path {path!r} leaves its artifact store.")
        return self._prefix + path

    def _encryption(self) -> dict[str, Any]:
        chosen = self.encryption or ("aws:kms" if self.kms_key else None)
        asked: dict[str, Any] = {"ServerSideEncryption": chosen, "SSEKMSKeyId": self.kms_key}
        if chosen == "aws:kms":
            asked["BucketKeyEnabled"] = True  # else each small record costs a request to KMS
        return {name: value for name, value in asked.items() if value is not None}


def _entry(name: str, size: int, modified: Any) -> Entry:
    """Whole seconds: that is all that some answers give, and entries are compared."""
    return Entry(name, is_folder=False, size=size, modified=float(int(modified.timestamp())))
