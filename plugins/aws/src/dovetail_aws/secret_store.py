"""Secrets in AWS Secrets Manager, each as one JSON object of its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from dovetail.components import Secret, SecretStore
from dovetail.errors import ConfigurationError, NameRefused, NotFound
from dovetail.values.names import check_name, folded
from dovetail_aws.connection import AwsConnection
from dovetail_aws.service_errors import Absent, AwsError, Taken, explained

_PREFIX = re.compile(r"[\w/+.@-]{0,200}", re.ASCII)
_ENCODED = re.compile(r"[^A-Za-z0-9_+.@-]")
_LONGEST = 65_536  # bytes of a secret


class AwsSecretStore(AwsConnection, SecretStore):
    """A secret is a JSON object of its keys, as `{"user": "…", "password": "…"}`; others' can be read too."""

    prefix: str = field(default="dovetail/", metadata={"help": "What the names of the secrets begin with; others are not seen."})
    kms_key: str | None = field(default=None, metadata={"help": "Id, ARN or alias of the KMS key of secrets that are made; by default the account's."})
    recovery_days: int = field(default=0, metadata={"help": "Days for which a deleted secret can be recovered, 7 to 30; 0: none."})
    tags: dict[str, str] = field(default_factory=dict, metadata={"help": "Tags of secrets that are made."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigurationError(f"`prefix` is {self.prefix!r}. Write it with letters, digits and _/+.@- alone, as dovetail/.")
        if self.recovery_days != 0 and not 7 <= self.recovery_days <= 30:
            raise ConfigurationError(f"`recovery_days` is {self.recovery_days}. Set it to 0, or to 7 to 30.")

    def get(self, name: str) -> Mapping[str, Secret]:
        try:
            return {key: Secret(value) for key, value in self._kept(name).items()}
        except Absent:
            raise NotFound("secret", name, self.names(), f"Set it by `dovetail secret set {name} KEY=-`.") from None

    def put(self, name: str, values: Mapping[str, str]) -> None:
        for key in values:
            _check_key(key)
        given = {key: value.reveal() if isinstance(value, Secret) else value for key, value in values.items()}
        try:
            kept = self._kept(name)
        except Absent:
            self._create(name, given)
        else:
            self._change(name, {**kept, **given})

    def names(self) -> Sequence[str]:
        return sorted(self._names())

    def delete(self, name: str) -> None:
        how: dict[str, Any] = {"RecoveryWindowInDays": self.recovery_days} if self.recovery_days else {"ForceDeleteWithoutRecovery": True}
        if not self.recovery_days:
            try:
                self._kept(name)  # else the service would say that it deleted what there never was
            except Absent:
                raise NotFound("secret", name, self.names()) from None
        try:
            with self._asking(name):
                self._client.delete_secret(SecretId=self._id(name), **how)
        except Absent:
            raise NotFound("secret", name, self.names()) from None

    def check(self) -> list[str]:
        quick = self.quickly()
        try:
            with quick._asking("a list"):
                quick._client.list_secrets(MaxResults=1)
        except AwsError as error:
            return [str(error)]
        return []

    def _kept(self, name: str) -> dict[str, str]:
        """Raises Absent also for one that waits to be deleted."""
        secret = self._id(name)
        with self._asking(name):
            text = self._client.get_secret_value(SecretId=secret).get("SecretString", "")
        try:
            return {str(key): str(value) for key, value in json.loads(text).items()}
        except (ValueError, AttributeError):
            # The parser's message would quote the secret.
            raise ConfigurationError(
                f"Secret '{secret}' is not a JSON object of its keys. Write it as {{\"key\": \"value\"}}, or delete it and set it again."
            ) from None

    def _create(self, name: str, values: Mapping[str, str]) -> None:
        twin = next((other for other in self._names() if other != name and folded(other) == folded(name)), None)
        if twin is not None:
            raise NameRefused(f"There is a secret '{twin}', which differs from '{name}' in case only. Choose another name.")
        key = {"KmsKeyId": self.kms_key} if self.kms_key else {}
        tags = {"Tags": [{"Key": tag, "Value": value} for tag, value in self.tags.items()]} if self.tags else {}
        try:
            with self._asking(name):
                self._client.create_secret(Name=self._id(name), SecretString=_text(name, values), **key, **tags)
        except Taken:  # it waits to be deleted, or somebody made it just now
            with self._asking(name):
                self._client.restore_secret(SecretId=self._id(name))
            self._change(name, values)

    def _change(self, name: str, values: Mapping[str, str]) -> None:
        with self._asking(name):
            self._client.put_secret_value(SecretId=self._id(name), SecretString=_text(name, values))

    def _names(self) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            with self._asking("a list"):
                page = self._client.list_secrets(MaxResults=100, Filters=[{"Key": "name", "Values": [self.prefix]}] if self.prefix else [], **token)
            for each in page["SecretList"]:
                if each["Name"].startswith(self.prefix) and not each.get("DeletedDate"):
                    yield _decoded(each["Name"][len(self.prefix) :])
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _id(self, name: str) -> str:
        return self.prefix + _ENCODED.sub(lambda found: "".join(f"={byte:02x}" for byte in found[0].encode()), check_name("secret", name))

    def _asking(self, name: str) -> Any:
        return explained("Secrets Manager" + (f" at {self.endpoint_url}" if self.endpoint_url else ""), f"secret '{name}'")

    @property
    def _client(self) -> Any:
        return self.service("secretsmanager")


def _decoded(name: str) -> str:
    return re.sub(r"(?:=[0-9a-f]{2})+", lambda found: bytes.fromhex(found[0].replace("=", "")).decode("utf-8", "replace"), name)


def _check_key(key: str) -> None:
    if set("./\\ ") & set(check_name("secret key", key)):
        raise NameRefused(f"The secret key {key!r} holds a dot or a space, so no reference could name it. Use '_'.")


def _text(name: str, values: Mapping[str, str]) -> str:
    text = json.dumps(dict(values), ensure_ascii=False)
    size = len(text.encode())
    if size > _LONGEST:
        raise ConfigurationError(f"Secret '{name}' is {size} bytes long, and Secrets Manager keeps {_LONGEST}. Split it into several secrets.")
    return text
