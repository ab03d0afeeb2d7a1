"""Vertex AI by its REST API: where it is, what is asked of it, and what the operations come to that take a while."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from dovetail.errors import ConfigurationError
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.services import ServiceConnection

_LOCATION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_USER = "roles/aiplatform.user"
_CONSOLE = "https://console.cloud.google.com/vertex-ai"
_OFTEN, _SELDOM = 0.2, 5.0  # seconds between two looks at an operation, at its start and later
_LINES = 30
_CODES = {
    5: (Kind.ABSENT, 404), 6: (Kind.REFUSED, 409), 7: (Kind.DENIED, 403), 8: (Kind.BUSY, 429), 14: (Kind.BUSY, 503), 16: (Kind.DENIED, 401),
}  # fmt: skip


class VertexConnection(ServiceConnection):
    """`location` has to be said: each region of Vertex AI is a service of its own."""

    location: str = field(metadata={"help": "The region, such as europe-west4."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _LOCATION.fullmatch(self.location):
            raise ConfigurationError(f"`location` is {self.location!r}. Write a region's name, such as us-central1 or europe-west4.")

    def parent(self) -> str:
        """What the names of all resources of this project and region begin with."""
        return f"projects/{self.project_id()}/locations/{self.location}"

    def vertex(
        self,
        method: str,
        path: str,
        what: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        *,
        role: str = _USER,
        again: bool | None = None,
    ) -> dict[str, Any]:
        """What the region's service answers. `path`: a resource's name, with a method behind it."""
        try:
            return self.service(self._host(), method, f"v1/{path}", what, body, params, role=role, again=again)
        except GoogleError as error:
            if error.kind is not Kind.UNREACHED or self.endpoint_url is not None:
                raise
            said = f"{error} Where others are reached, there is no region '{self.location}': see `gcloud compute regions list`."
            raise GoogleError(said, error.kind, repeated=error.repeated) from error

    def listed(self, path: str, key: str, what: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """All resources of a collection."""
        return self.pages(self._host(), f"v1/{path}", key, what, params, role=_USER)

    def finished(self, operation: Mapping[str, Any], what: str, seconds: float = 600.0) -> dict[str, Any]:
        """What a long-running operation came to; GoogleError where it failed or takes longer."""
        until, pause = time.monotonic() + seconds, _OFTEN
        found = dict(operation)
        while not found.get("done"):
            if time.monotonic() > until:
                raise GoogleError(f"{what} is not done after {seconds:g} s; see operation {found['name']}.", Kind.SLOW)
            time.sleep(pause)
            pause = min(pause * 1.5, _SELDOM)
            found = self.vertex("GET", str(found["name"]), what)
        error = found.get("error")
        if error:
            raise operation_failed(error, what)
        answer: dict[str, Any] = found.get("response", {})
        return answer

    def log_lines(self, log_filter: str, lines: int = _LINES) -> list[str]:
        """The last lines that Cloud Logging has, the oldest first."""
        asked = {
            "resourceNames": [f"projects/{self.project_id()}"], "filter": log_filter, "orderBy": "timestamp desc", "pageSize": lines,
        }  # fmt: skip
        found = self.service("logging.googleapis.com", "POST", "v2/entries:list", "Cloud Logging", asked, role="roles/logging.viewer", again=True)
        return [line for entry in reversed(found.get("entries", ())) for line in _text(entry).rstrip().splitlines()][-lines:]

    def console(self, path: str) -> str:
        """Where a person sees a resource."""
        return f"{_CONSOLE}/{path}?project={self.project_id()}"

    def _check_access(self, collection: str) -> list[str]:
        try:
            with self.briefly():
                self.vertex("GET", f"{self.parent()}/{collection}", self._subject(), params={"pageSize": 1})
        except (GoogleError, ConfigurationError) as error:
            return [str(error)]
        return []

    def _host(self) -> str:
        return f"{self.location}-aiplatform.googleapis.com"


def operation_failed(error: Mapping[str, Any], what: str) -> GoogleError:
    """`error`: a google.rpc.Status, whose codes are mapped to statuses of HTTP."""
    said = " ".join(str(error.get("message", "")).split()).rstrip(".") or f"code {error.get('code')}"
    kind, status = _CODES.get(int(error.get("code", 0)), (Kind.REFUSED, 400))
    return GoogleError(f"{what} failed: {said}.", kind, status=status)


def _text(entry: Mapping[str, Any]) -> str:
    payload = entry.get("jsonPayload")
    if isinstance(payload, Mapping):
        return str(payload.get("message", ""))
    return str(entry.get("textPayload", ""))
