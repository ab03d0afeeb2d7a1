"""A container of Blob storage as an artifact store: records are created by conditional writes, payload in parallel blocks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlencode

from dovetail.components.object_store import ObjectInfo, ObjectStore, Page
from dovetail.components.transfers import STEP, BrokenOff, ObjectStoreError, Part, Source
from dovetail_azure.connection import AzureConnection
from dovetail_azure.errors import EMPTY, unasked

_WRITER = "dovetail_writer"  # in a blob's metadata: the mark of whoever created it
_AT_ONCE = "1000"  # blobs that one request lists
_MOST_BLOCKS = 45_000  # the service takes 50,000
_BLOB = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}


class AzureArtifactStore(AzureConnection, ObjectStore):
    """Needs the role Storage Blob Data Contributor. Blocks of an upload that died are forgotten by the service within a week."""

    atomic_create: ClassVar[str] = "Put Blob with If-None-Match: *"
    scheme: ClassVar[str] = "az"
    bucket_names: ClassVar[str] = r"[a-z0-9](-?[a-z0-9]){2,62}|\$root"

    path: str = field(metadata={"help": "The container and a prefix in it, as az://container/prefix."})
    encryption_scope: str | None = field(
        default=None, metadata={"help": "Encryption scope, which names the key to encrypt each blob with; by default the container's own."}
    )

    def __post_init__(self) -> None:
        AzureConnection.__post_init__(self)
        ObjectStore.__post_init__(self)
        self._where = f"container '{self._bucket}' at {self._endpoint}"

    # -- objects -------------------------------------------------------------------------------------------------------

    def put_object(self, path: str, content: bytes, writer: str | None) -> None:
        self._ask("PUT", self._url(path), f"Writing '{path}'", headers={**_BLOB, **self._new(writer)}, data=content)

    @contextmanager
    def upload_object(self, path: str, source: Source, writer: str) -> Iterator[Callable[[], object]]:
        url, what = self._url(path), f"Writing '{path}'"
        size = max(self.part, -(-source.size // _MOST_BLOCKS))

        def send(start: int, length: int) -> str:
            block = base64.b64encode(f"{writer}-{start // size:06}".encode()).decode()
            self._ask("PUT", f"{url}?comp=block&blockid={quote(block, safe='')}", what, headers=self._scope(), data=source.part(start, length))
            return block

        blocks = self.in_parts(send, source.size, size)
        listed = "".join(f"<Uncommitted>{block}</Uncommitted>" for block in blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        headers = {"Content-Type": "application/xml", "x-ms-blob-content-type": _BLOB["Content-Type"], **self._new(writer)}
        yield lambda: self._ask("PUT", f"{url}?comp=blocklist", what, headers=headers, data=body)

    def get_object(self, path: str, span: tuple[int, int] | None = None, version: str = "") -> Part | None:
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span is not None else {}
        if version:
            headers["If-Match"] = version
        what = f"Reading '{path}'"
        answer = self._ask("GET", self._url(path), what, path=path, also=EMPTY, headers=headers, stream=True)
        if answer.status_code == EMPTY:
            answer.close()
            return None
        size = int(answer.headers.get("Content-Length", 0))
        span_told, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = int(span_told.partition("-")[0] or 0)
        return Part(start, size, int(total or size), answer.headers.get("ETag", ""), _chunks(answer, size, f"{what} in {self._where}"))

    def head_object(self, path: str) -> ObjectInfo | None:
        try:
            found = self._ask("HEAD", self._url(path), f"Looking at '{path}'", path=path).headers
        except FileNotFoundError:
            return None
        if "Last-Modified" not in found or "Content-Length" not in found:
            raise self._foreign()
        return ObjectInfo(self.key_of(path), int(found["Content-Length"]), _seconds(found["Last-Modified"]), found.get(f"x-ms-meta-{_WRITER}", ""))

    def delete_object(self, path: str) -> None:
        self._ask("DELETE", self._url(path), f"Deleting '{path}'", path=path, headers={"x-ms-delete-snapshots": "include"})

    def list_objects(self, prefix: str, *, deep: bool) -> Iterator[Page]:
        import xml.etree.ElementTree as ET

        params = {"restype": "container", "comp": "list", "prefix": prefix, "maxresults": _AT_ONCE, **({} if deep else {"delimiter": "/"})}
        folder = prefix[len(self._prefix) :].rstrip("/")
        while True:
            asked = urlencode(params, quote_via=quote)  # a plus sign for a space would be signed as another text
            answer = self._ask("GET", f"{self._endpoint}/{self._bucket}?{asked}", f"Listing '{folder}'")
            try:
                page = ET.fromstring(answer.content)  # noqa: S314  # of the account's own service, which all else is entrusted to
            except ET.ParseError:
                raise self._foreign() from None
            if page.tag != "EnumerationResults":
                raise self._foreign()
            blobs = [blob for blob in page.iter("Blob") if blob.findtext("Properties/ResourceType") != "directory"]
            yield Page([_info(blob) for blob in blobs], [_name(found) for found in page.iter("BlobPrefix")])
            marker = page.findtext("NextMarker")
            if not marker:
                return
            params["marker"] = marker

    # -- the component -------------------------------------------------------------------------------------------------

    def place(self) -> dict[str, str]:
        return {**super().place(), "container": self._bucket}

    def _ask(self, method: str, url: str, what: str, **options: Any) -> Any:
        answer = self.asked(method, url, f"{what} in {self._where}", **options)
        self.heard(answer.headers.get("Date", ""))
        return answer

    def _foreign(self) -> ObjectStoreError:
        return ObjectStoreError(f"What answers for {self._where} does not speak the language of Blob storage. Check `endpoint_url` and proxies.")

    def _new(self, writer: str | None) -> dict[str, str]:
        """Headers of a blob that is made; with a writer only where there is none."""
        condition = {"If-None-Match": "*", f"x-ms-meta-{_WRITER}": writer} if writer is not None else {}
        return {**self._scope(), **condition}

    def _scope(self) -> dict[str, str]:
        return {"x-ms-encryption-scope": self.encryption_scope} if self.encryption_scope is not None else {}

    def _url(self, path: str) -> str:
        return f"{self._endpoint}/{self._bucket}/{quote(self.key_of(path), safe='/~')}"


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


def _info(blob: Any) -> ObjectInfo:
    return ObjectInfo(_name(blob), int(blob.findtext("Properties/Content-Length")), _seconds(blob.findtext("Properties/Last-Modified")))


def _name(found: Any) -> str:
    """As it is; what XML cannot hold comes percent-encoded."""
    name = found.find("Name")
    text = str(name.text or "")
    return unquote(text) if name.get("Encoded") == "true" else text


def _seconds(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()
