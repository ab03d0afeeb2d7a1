"""A bucket as an artifact store: records are created by conditional writes, payload in parallel parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any, ClassVar, Literal

from dovetail.components.object_store import ObjectInfo, ObjectStore, Page
from dovetail.components.transfers import Part, Source
from dovetail.errors import ConfigurationError
from dovetail_aws.connection import AwsConnection
from dovetail_aws.errors import ABSENT, EMPTY, code_of, explained, foreign

_WRITER = "dovetail-writer"  # in an object's metadata: the mark of whoever created it
_AT_ONCE = 1000  # objects that one request lists, or deletes
_CONNECTIONS = 64  # kept for threads that ask at one moment
_STYLES = {True: "path", False: "virtual", None: "auto"}


class S3ArtifactStore(AwsConnection, ObjectStore):
    """Needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket. A multipart upload that died is left to the bucket's lifecycle rules."""

    atomic_create: ClassVar[str] = "PutObject with If-None-Match: *"
    scheme: ClassVar[str] = "s3"  # services other than Amazon's allow more names of buckets than it does

    path: str = field(metadata={"help": "The bucket and a prefix in it, as s3://bucket/prefix."})
    path_style: bool | None = field(
        default=None, metadata={"help": "Address the bucket in the path and not in the host; by default so where `endpoint_url` is set."}
    )
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = field(
        default=None, metadata={"help": "Encryption to ask for with each object; by default the bucket's own."}
    )
    kms_key: str | None = field(default=None, metadata={"help": "Id, ARN or alias of the KMS key; implies `encryption: aws:kms`."})

    def __post_init__(self) -> None:
        AwsConnection.__post_init__(self)
        ObjectStore.__post_init__(self)
        if self.kms_key and self.encryption == "AES256":
            raise ConfigurationError("`kms_key` does not go with `encryption: AES256`. Leave one of them out.")
        self._where = f"Bucket '{self._bucket}'" + (f" at {self.endpoint_url}" if self.endpoint_url else "")

    # -- objects -------------------------------------------------------------------------------------------------------

    def put_object(self, path: str, content: bytes, writer: str | None) -> None:
        condition: dict[str, Any] = {"Metadata": {_WRITER: writer}, "IfNoneMatch": "*"} if writer is not None else {}
        with explained(self._where, path):
            self._s3.put_object(**self._object(path), **self._encryption(), **condition, Body=content)

    @contextmanager
    def upload_object(self, path: str, source: Source, writer: str) -> Iterator[Callable[[], object]]:
        from dovetail_aws.transfers import uploaded

        request = {**self._object(path), **self._encryption(), "Metadata": {_WRITER: writer}}

        def complete() -> None:
            with explained(self._where, path):
                make()

        with explained(self._where, path), uploaded(self._s3, request, source, self.max_concurrency) as make:
            yield complete

    def get_object(self, path: str, span: tuple[int, int] | None = None, version: str = "") -> Part | None:
        from botocore.exceptions import ClientError

        from dovetail_aws.transfers import part_of

        wanted = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span is not None else {}
        if version:
            wanted["IfMatch"] = version
        with explained(self._where, path):
            try:
                answer = self._s3.get_object(**self._object(path), **wanted)
            except ClientError as error:
                if code_of(error) in EMPTY:
                    return None
                raise
        return part_of(answer, self._where, path)

    def head_object(self, path: str) -> ObjectInfo | None:
        from botocore.exceptions import ClientError

        with explained(self._where, path):
            try:
                found = self._s3.head_object(**self._object(path))
            except ClientError as error:
                if code_of(error) in ABSENT:
                    return None
                raise
        if "ContentLength" not in found or "LastModified" not in found:
            raise foreign(self._where, path)
        writer = found.get("Metadata", {}).get(_WRITER, "")
        return ObjectInfo(self.key_of(path), found["ContentLength"], found["LastModified"].timestamp(), writer)

    def delete_object(self, path: str) -> None:
        with explained(self._where, path):
            self._s3.delete_object(**self._object(path))

    # -- folders -------------------------------------------------------------------------------------------------------

    def list_objects(self, prefix: str, *, deep: bool) -> Iterator[Page]:
        options = {"Prefix": prefix, **({} if deep else {"Delimiter": "/"})}
        while True:
            with explained(self._where, prefix[len(self._prefix) :].rstrip("/")):
                page = self._s3.list_objects_v2(Bucket=self._bucket, MaxKeys=_AT_ONCE, **options)
            found = [ObjectInfo(child["Key"], child["Size"], child["LastModified"].timestamp()) for child in page.get("Contents", ())]
            yield Page(found, [child["Prefix"] for child in page.get("CommonPrefixes", ())])
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def delete_objects(self, keys: Sequence[str]) -> None:
        from dovetail_aws.transfers import delete_many

        with explained(self._where, keys[0][len(self._prefix) :]):
            delete_many(self._s3, self._bucket, keys)

    # -- the client ----------------------------------------------------------------------------------------------------

    @property
    def _s3(self) -> Any:
        in_path = self.path_style if self.path_style is not None else True if self.endpoint_url is not None else None
        more: dict[str, Any] = {}
        if self.endpoint_url is not None:  # services other than Amazon's seldom know the newer checksums
            more = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
        style = {"addressing_style": _STYLES[in_path]}
        return self.client("s3", self._answer_came, s3=style, max_pool_connections=max(_CONNECTIONS, self.max_concurrency), **more)

    def _answer_came(self, http_response: Any, **_: Any) -> None:
        self.heard(http_response.headers.get("Date", ""))

    def _object(self, path: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self.key_of(path)}

    def _encryption(self) -> dict[str, Any]:
        chosen = self.encryption or ("aws:kms" if self.kms_key else None)
        asked: dict[str, Any] = {"ServerSideEncryption": chosen, "SSEKMSKeyId": self.kms_key}
        if chosen == "aws:kms":
            asked["BucketKeyEnabled"] = True  # else each small record costs a request to KMS
        return {name: value for name, value in asked.items() if value is not None}
