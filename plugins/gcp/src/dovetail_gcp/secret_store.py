"""Keeps secrets in Google's Secret Manager."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from dovetail.components import Secret, SecretStore
from dovetail.errors import ConfigurationError, NameRefused, NotFound
from dovetail.values.names import check_name
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.services import ServiceConnection

_HOST = "secretmanager.googleapis.com"
_ACCESSOR, _VIEWER, _ADMIN = "roles/secretmanager.secretAccessor", "roles/secretmanager.viewer", "roles/secretmanager.admin"
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,180}")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,60}")
_NAME = "dovetail-name"  # the annotation that says what a secret is called here, where its id cannot
_ALONE = "value"  # the key of a secret that is no mapping, as other tools make them


class GcpSecretStore(ServiceConnection, SecretStore):
    """One secret of Secret Manager for each, its newest version a JSON mapping of keys. One that another tool made, of plain text, has `value`.

    With a `location` it is kept in that region alone. Older versions stay, as Secret Manager has it, until somebody destroys them.
    """

    prefix: str = field(default="dovetail-", metadata={"help": "What the ids in Secret Manager begin with; '' for all secrets of the project."})
    kms_key: str | None = field(default=None, metadata={"help": "A key of Cloud KMS to encrypt new secrets with, instead of Google's."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigurationError(f"`prefix` is {self.prefix!r}. Use up to 60 letters, digits, '-' and '_'.")

    def get(self, name: str) -> Mapping[str, Secret]:
        path = f"{self._path(name)}/versions/latest:access"
        try:
            found = self._ask("GET", path, name, role=_ACCESSOR)
        except GoogleError as error:
            if error.kind is Kind.ABSENT:
                raise NotFound("secret", name, self._near(), f"Set it by `dovetail secret set {name} KEY=-`.") from None
            raise
        return {key: Secret(value) for key, value in _read(base64.b64decode(found["payload"]["data"]).decode("utf-8")).items()}

    def put(self, name: str, values: Mapping[str, str]) -> None:
        """Two who put keys of one secret at one moment may each miss the other's: Secret Manager has no condition for it."""
        for key in values:
            _check_key(key)
        kept = self._kept(name)
        given = {key: value.reveal() if isinstance(value, Secret) else value for key, value in values.items()}
        content = json.dumps({**{key: value.reveal() for key, value in (kept or {}).items()}, **given}, ensure_ascii=False)
        payload = {"payload": {"data": base64.b64encode(content.encode()).decode()}}
        self._ask("POST", f"{self._path(name)}:addVersion", name, payload, role=_ADMIN)

    def _kept(self, name: str) -> Mapping[str, Secret] | None:
        """What is there; makes the secret where there is none."""
        made = {"replication": self._replication(), "labels": {"dovetail": "secret"}, "annotations": {_NAME: name}}
        try:
            self._ask("POST", "secrets", name, made, {"secretId": self._id(name)}, role=_ADMIN)
        except GoogleError as error:
            if error.status != 409:
                raise
        else:
            return None
        try:
            return self.get(name)
        except NotFound:  # it was made, and has no version yet
            return None

    def names(self) -> Sequence[str]:
        asked = {"filter": f"name:{self.prefix}"} if self.prefix else None
        found = self.pages(_HOST, f"v1/projects/{self.project_id()}/secrets", "secrets", self._subject(), asked, role=_VIEWER)
        return sorted(filter(None, (self._name(each) for each in found)))

    def delete(self, name: str) -> None:
        try:
            self._ask("DELETE", self._path(name), name, role=_ADMIN)
        except GoogleError as error:
            if error.kind is Kind.ABSENT:
                raise NotFound("secret", name, self._near()) from None
            raise

    def check(self) -> list[str]:
        return self._check_by(_HOST, f"v1/projects/{self.project_id()}/secrets", _VIEWER)

    def _near(self) -> Sequence[str]:
        try:
            return self.names()
        except GoogleError:  # who may read a secret may not always list them
            return ()

    def _replication(self) -> dict[str, Any]:
        key = {"customerManagedEncryption": {"kmsKeyName": self.kms_key}} if self.kms_key else {}
        return {"userManaged": {"replicas": [{"location": self.location, **key}]}} if self.location else {"automatic": key}

    def _ask(self, method: str, path: str, name: str, body: Any = None, params: Mapping[str, Any] | None = None, *, role: str) -> dict[str, Any]:
        what = f"{self._subject()}, secret '{name}',"
        return self.service(_HOST, method, f"v1/projects/{self.project_id()}/{path}", what, body, params, role=role)

    def _path(self, name: str) -> str:
        return f"secrets/{self._id(name)}"

    def _id(self, name: str) -> str:
        checked = check_name("secret", name)
        if _PLAIN.fullmatch(checked):
            return f"{self.prefix}{checked}"
        return f"{self.prefix}{re.sub(r'[^A-Za-z0-9_-]', '-', checked)[:150]}-{hashlib.sha256(checked.encode()).hexdigest()[:12]}"

    def _name(self, found: Mapping[str, Any]) -> str | None:
        """What a secret is called here; None for one of other people's."""
        own = str(found["name"]).rpartition("/")[2]
        said = (found.get("annotations") or {}).get(_NAME)
        if not own.startswith(self.prefix):
            return None
        return str(said) if said else own.removeprefix(self.prefix)


def _check_key(key: str) -> None:
    if "." in check_name("secret key", key) or " " in key:
        raise NameRefused(f"The secret key {key!r} holds a dot or a space, so no reference could name it. Use '_'.")


def _read(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {_ALONE: text}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return {_ALONE: text}
    return {str(key): value for key, value in found.items()}
