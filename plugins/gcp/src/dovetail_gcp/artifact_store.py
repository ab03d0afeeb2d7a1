"""A bucket of Cloud Storage as an artifact store, by its JSON API: records are created by conditional writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from dovetail.components.object_store import ObjectInfo, ObjectStore, Page
from dovetail.components.transfers import ObjectStoreError, Part, Source
from dovetail.errors import ConfigurationError
from dovetail_gcp.connection import GcpConnection, shown
from dovetail_gcp.errors import GoogleError
from dovetail_gcp.object_errors import explained
from dovetail_gcp.uploads import Upload, part_of

_GOOGLE = "https://storage.googleapis.com"
_WRITER = "dovetail-writer"  # in an object's metadata: the mark of whoever created it
_AT_ONCE = 1000  # objects that one request lists
_EMPTY = 416  # no range at all lies in an object of no bytes
_INFO = "name,size,updated,metadata"


class GcsArtifactStore(GcpConnection, ObjectStore):
    """Needs the role Storage Object User on the bucket."""

    atomic_create: ClassVar[str] = "objects.insert with ifGenerationMatch=0"
    scheme: ClassVar[str] = "gs"
    bucket_names: ClassVar[str] = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
    credential_variables = (*GcpConnection.credential_variables, "STORAGE_EMULATOR_HOST")

    path: str = field(metadata={"help": "The bucket and a prefix in it, as gs://bucket/prefix."})
    kms_key: str | None = field(
        default=None,
        metadata={"help": "projects/…/locations/…/keyRings/…/cryptoKeys/… to encrypt each object with; by default the bucket's own."},
    )

    def __post_init__(self) -> None:
        GcpConnection.__post_init__(self)
        ObjectStore.__post_init__(self)
        if self.kms_key is not None and not self.kms_key.startswith("projects/"):
            raise ConfigurationError(
                f"`kms_key` is {shown(self.kms_key)}. Write it whole, as projects/P/locations/L/keyRings/R/cryptoKeys/K."
            )
        self._where = f"bucket '{self._bucket}'" + (f" at {self.endpoint_url}" if self.endpoint_url else "")

    # -- objects -------------------------------------------------------------------------------------------------------

    def put_object(self, path: str, content: bytes, writer: str | None) -> None:
        body, heading = _related({"metadata": {_WRITER: writer}} if writer is not None else {}, content)
        with explained(path, of_bucket=True):
            params = self._new(path, "multipart", condition=writer is not None)
            self._ask("POST", self._upload_url(), f"Writing '{path}'", params=params, data=body, headers={"Content-Type": heading})

    @contextmanager
    def upload_object(self, path: str, source: Source, writer: str) -> Iterator[Callable[[], object]]:
        headers = {"X-Upload-Content-Type": "application/octet-stream", "X-Upload-Content-Length": str(source.size)}
        with explained(path, of_bucket=True):
            params, meta = self._new(path, "resumable", condition=True), {"metadata": {_WRITER: writer}}
            begun = self._ask("POST", self._upload_url(), f"Writing '{path}'", params=params, json=meta, headers=headers)
        upload = Upload(self, begun.headers["Location"], source, f"Writing '{path}' in {self._where}")
        try:
            upload.send_all_but_the_end()
            yield upload.finish
        finally:
            upload.forget()

    def get_object(self, path: str, span: tuple[int, int] | None = None, version: str = "") -> Part | None:
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={span[0]}-{span[1] - 1}"} if span is not None else {})}
        params = {"alt": "media", **({"ifGenerationMatch": version} if version else {})}
        what = f"Reading '{path}'"
        with explained(path):
            try:
                answer = self._ask("GET", self._url(path), what, params=params, headers=headers, stream=True)
            except GoogleError as error:
                if error.status == _EMPTY:
                    return None
                raise
        return part_of(answer, f"{what} in {self._where}")

    def head_object(self, path: str) -> ObjectInfo | None:
        try:
            with explained(path):
                answer = self._ask("GET", self._url(path), f"Looking at '{path}'", params={"fields": _INFO})
        except FileNotFoundError:
            return None
        return _info(self._json(answer, "name"))

    def delete_object(self, path: str) -> None:
        with explained(path):
            self._ask("DELETE", self._url(path), f"Deleting '{path}'")

    def list_objects(self, prefix: str, *, deep: bool) -> Iterator[Page]:
        params = {"prefix": prefix, "maxResults": str(_AT_ONCE), "fields": f"kind,nextPageToken,prefixes,items({_INFO})"}
        if not deep:
            params["delimiter"] = "/"
        folder = prefix[len(self._prefix) :].rstrip("/")
        while True:
            with explained(folder, of_bucket=True):
                answer = self._ask("GET", f"{self._base()}/storage/v1/b/{self._bucket}/o", f"Listing '{folder}'", params=params)
            page = self._json(answer, "kind")
            yield Page([_info(found) for found in page.get("items", ())], page.get("prefixes", ()))
            if not page.get("nextPageToken"):
                return
            params["pageToken"] = page["nextPageToken"]

    # -- the component -------------------------------------------------------------------------------------------------

    def further_problems(self) -> list[str]:
        """Whether the bucket lies in another region than `location` says."""
        if self.location is None:
            return []
        try:
            answer = self._ask("GET", f"{self._base()}/storage/v1/b/{self._bucket}", "Looking at the bucket", params={"fields": "location"})
        except GoogleError:
            return []  # who may write to it need not be allowed to ask this
        found = str(answer.json().get("location", "")).lower()
        if "-" not in found or found == self.location.lower():  # others are called EU or US, and lie in several
            return []
        sentence = (
            f"Artifact store '{self.name}' names location {self.location}, but bucket '{self._bucket}' lies in {found}. Correct `location`, or "
            f"`gcloud storage buckets create gs://NAME --location={self.location}` and set `path` to that."
        )
        return [sentence]

    def endpoint(self) -> str | None:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST") or None
        if emulator is not None and "://" not in emulator:
            emulator = f"http://{emulator}"
        return self.endpoint_url or emulator

    # -- requests ------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, url: str, what: str, **options: Any) -> Any:
        cures = {
            403: (
                f"Allow it by `gcloud storage buckets add-iam-policy-binding gs://{self._bucket} --role=roles/storage.objectUser --member=…`, "
                "naming the account, and check that it may use the KMS key if there is one"
            ),
            404: f"Create it by `gcloud storage buckets create gs://{self._bucket}`, or correct `path`",
            412: "Try again, once nothing else writes there",
        }
        answer = self.asked(method, url, f"{what} in {self._where}", cures=cures, **options)
        self.heard(answer.headers.get("Date", ""))
        return answer

    def _json(self, answer: Any, wanted: str) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict) or wanted not in found:
            raise ObjectStoreError(f"What answers for {self._where} does not speak the API of Cloud Storage. Check `endpoint_url` and proxies.")
        return found

    def _new(self, path: str, kind: str, *, condition: bool) -> dict[str, str]:
        params = {"uploadType": kind, "name": self.key_of(path), "fields": "name"}
        if condition:
            params["ifGenerationMatch"] = "0"
        if self.kms_key is not None:
            params["kmsKeyName"] = self.kms_key
        return params

    def _base(self) -> str:
        return (self.endpoint() or _GOOGLE).rstrip("/")

    def _upload_url(self) -> str:
        return f"{self._base()}/upload/storage/v1/b/{self._bucket}/o"

    def _url(self, path: str) -> str:
        return f"{self._base()}/storage/v1/b/{self._bucket}/o/{quote(self.key_of(path), safe='')}"


def _related(meta: Mapping[str, Any], content: bytes) -> tuple[bytes, str]:
    """An object's metadata and its content in one body, and how that is called."""
    mark = os.urandom(16).hex()
    head = f"--{mark}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(meta)}\r\n--{mark}\r\nContent-Type: application/octet-stream\r\n\r\n"
    return b"".join((head.encode(), content, f"\r\n--{mark}--\r\n".encode())), f"multipart/related; boundary={mark}"


def _info(found: Mapping[str, Any]) -> ObjectInfo:
    modified = datetime.fromisoformat(str(found["updated"]).replace("Z", "+00:00")).timestamp()
    return ObjectInfo(str(found["name"]), int(found["size"]), modified, found.get("metadata", {}).get(_WRITER, ""))
