"""Secret Manager on loopback, as far as a secret store needs it."""

from __future__ import annotations

import re
from typing import Any

from google_fake import Asked, GoogleFake, Problem

_SECRETS = r"/v1/projects/(?P<project>[^/]+)/secrets"


class SecretsFake:
    """`secrets`: each as it was made, by id; `versions`: the payloads of each, the newest last."""

    def __init__(self, google: GoogleFake) -> None:
        self.google = google
        self.secrets: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        google.route("POST", _SECRETS, self._create)
        google.route("GET", _SECRETS, self._list)
        google.route("POST", rf"{_SECRETS}/(?P<id>[^/:]+):addVersion", self._add)
        google.route("GET", rf"{_SECRETS}/(?P<id>[^/:]+)/versions/latest:access", self._access)
        google.route("DELETE", rf"{_SECRETS}/(?P<id>[^/:]+)", self._delete)

    def _create(self, asked: Asked) -> dict[str, Any]:
        name = asked.query["secretId"]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name) or list(asked.body["replication"]) not in (["automatic"], ["userManaged"]):
            raise Problem(400, "INVALID_ARGUMENT", name)
        with self.google.lock:
            if name in self.secrets:
                raise Problem(409, "ALREADY_EXISTS", f"Secret [{name}] already exists.")
            self.secrets[name] = {**asked.body, "name": f"projects/1/secrets/{name}"}
            self.versions[name] = []
        return self.secrets[name]

    def _list(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.query.get("filter", "name:").removeprefix("name:")
        found = [secret for name, secret in sorted(self.secrets.items()) if wanted in name]
        start, size = int(asked.query.get("pageToken", 0)), int(asked.query["pageSize"])
        more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return {"secrets": found[start : start + size], **more}

    def _id(self, asked: Asked) -> str:
        if asked.parts["id"] not in self.secrets:
            raise Problem(404, "NOT_FOUND", f"Secret [{asked.parts['id']}] not found.")
        return asked.parts["id"]

    def _add(self, asked: Asked) -> dict[str, Any]:
        self.versions[self._id(asked)].append(asked.body["payload"])
        return {"name": f"{asked.path}/versions/1", "state": "ENABLED"}

    def _access(self, asked: Asked) -> dict[str, Any]:
        versions = self.versions[self._id(asked)]
        if not versions:
            raise Problem(404, "NOT_FOUND", "Secret Version not found.")
        return {"name": asked.path, "payload": versions[-1]}

    def _delete(self, asked: Asked) -> dict[str, Any]:
        del self.secrets[self._id(asked)]
        return {}
