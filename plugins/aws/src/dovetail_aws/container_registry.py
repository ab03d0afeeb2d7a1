"""Images in Amazon's Elastic Container Registry."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Any, Literal

from dovetail.components import ContainerRegistry, Credentials, Secret
from dovetail.errors import ConfigurationError, ImageError
from dovetail_aws.connection import AwsConnection
from dovetail_aws.service_errors import Absent, AwsError, Taken, explained

_ADDRESS = re.compile(r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?(/[a-z0-9._/-]+)?")
_EARLIER = 600.0  # seconds before its end that a token is renewed: a push may take a while


class EcrRegistry(AwsConnection, ContainerRegistry):
    """`uri` is ACCOUNT.dkr.ecr.REGION.amazonaws.com, with a folder or without. Tokens are asked for when needed, and renewed before they expire."""

    create_repositories: bool = field(default=True, metadata={"help": "Make a repository that is missing when an image is pushed."})
    immutable_tags: bool = field(default=False, metadata={"help": "In repositories that are made, a tag keeps its image."})
    scan_on_push: bool = field(default=False, metadata={"help": "In repositories that are made, images are scanned for known weaknesses."})
    encryption: Literal["AES256", "KMS"] | None = field(
        default=None, metadata={"help": "Encryption of repositories that are made; by default the service's."}
    )
    kms_key: str | None = field(
        default=None, metadata={"help": "Id, ARN or alias of the KMS key of repositories that are made; implies `encryption: KMS`."}
    )
    repository_tags: dict[str, str] = field(default_factory=dict, metadata={"help": "Tags of repositories that are made."})

    def __post_init__(self) -> None:
        super().__post_init__()
        found = _ADDRESS.fullmatch(self.uri.strip("/"))
        if found is None and self.endpoint_url is None:
            raise ConfigurationError(
                f"`uri` is {self.uri!r}. Write it as 123456789012.dkr.ecr.REGION.amazonaws.com/folder; `aws ecr describe-repositories` shows it."
            )
        if found is not None and self.region not in (None, found["region"]):
            raise ConfigurationError(f"`uri` is in region {found['region']} and `region` is {self.region}. Leave `region` out.")
        if self.kms_key and self.encryption == "AES256":
            raise ConfigurationError("`kms_key` does not go with `encryption: AES256`. Leave one of them out.")
        self._account = {"registryId": found["account"]} if found is not None else {}
        self._token: tuple[Credentials, float] | None = None
        self._renewing = threading.Lock()
        self._region = found["region"] if found is not None else None

    def named_region(self) -> str | None:
        return self._region or super().named_region()

    @property
    def host(self) -> str:
        return self.uri.partition("/")[0]

    def find(self, reference: str) -> str | None:
        repository, image = self._parts(reference)
        try:
            with self._asking(f"image {reference}"):
                told = self._ecr.describe_images(repositoryName=repository, imageIds=[image], **self._account)
        except Absent:
            return None
        return next((str(each["imageDigest"]) for each in told["imageDetails"] if each.get("imageDigest")), None)

    def make_place(self, reference: str) -> None:
        """The image's repository, which no push makes."""
        repository, _ = self._parts(reference)
        if not self.create_repositories:
            return
        try:
            with self._asking(f"repository {repository}"):
                self._ecr.describe_repositories(repositoryNames=[repository], **self._account)
        except Absent:
            self._create(repository)

    def _create(self, repository: str) -> None:
        chosen = self.encryption or ("KMS" if self.kms_key else None)
        key = {"kmsKey": self.kms_key} if self.kms_key else {}
        asked: dict[str, Any] = {
            **self._account,
            "repositoryName": repository,
            "imageTagMutability": "IMMUTABLE" if self.immutable_tags else "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": self.scan_on_push},
            **({"encryptionConfiguration": {"encryptionType": chosen, **key}} if chosen else {}),
            **({"tags": [{"Key": name, "Value": value} for name, value in self.repository_tags.items()]} if self.repository_tags else {}),
        }
        try:
            with self._asking(f"repository {repository}"):
                self._ecr.create_repository(**asked)
        except Taken:
            return  # somebody else made it meanwhile

    def credentials(self) -> Credentials | None:
        with self._renewing:
            if self._token is None or time.time() > self._token[1] - _EARLIER:
                self._token = self._issued()
            return self._token[0]

    def _issued(self) -> tuple[Credentials, float]:
        with self._asking("a token"):
            told = self._ecr.get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(told["authorizationToken"]).decode().partition(":")
        return Credentials(self.host, user, Secret(password)), told["expiresAt"].timestamp()

    def check(self) -> list[str]:
        try:
            self.quickly().credentials()
        except ImageError as error:
            return [str(error)]
        return []

    def _parts(self, reference: str) -> tuple[str, dict[str, str]]:
        """(repository, tag or digest as the API takes it) of a reference into this registry."""
        if not reference.startswith(f"{self.host}/"):
            raise ImageError(f"Image {reference} is not in container registry '{self.name}', whose images begin with {self.host}/.")
        path = reference[len(self.host) + 1 :]
        repository, _, digest = path.partition("@")
        if digest:
            return repository, {"imageDigest": digest}
        repository, _, tag = path.rpartition(":")
        return (repository, {"imageTag": tag}) if repository else (path, {"imageTag": "latest"})

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """What ECR complains of as ImageError; that something is absent or taken, as that."""
        try:
            with explained(f"ECR registry {self.host}", what):
                yield
        except (Absent, Taken):
            raise
        except AwsError as error:
            raise ImageError(str(error)) from error

    @property
    def _ecr(self) -> Any:
        return self.service("ecr")
