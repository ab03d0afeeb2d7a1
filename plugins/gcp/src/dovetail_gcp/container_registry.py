"""Keeps container images in Artifact Registry, where Vertex AI pulls them by itself."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any

from dovetail.components import ContainerRegistry, Credentials, Secret
from dovetail.errors import ConfigurationError, ImageError
from dovetail_gcp.connection import GcpConnection
from dovetail_gcp.errors import GoogleError, Kind, unasked

_PLACE = re.compile(r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[a-z0-9.:-]+)/(?P<repository>[a-z0-9-]+)(/[a-z0-9._/-]+)?")
_OLD = re.compile(r"([a-z]+\.)?gcr\.io/[a-z0-9.:-]+(/[a-z0-9._/-]+)?")
_USER = "oauth2accesstoken"  # as Google's registries name who logs in with a token
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_ROLE = "roles/artifactregistry.writer"


class ArtifactRegistry(GcpConnection, ContainerRegistry):
    """A repository of Artifact Registry, of format Docker. Who pushes logs in with a token of an hour, made from the credentials."""

    uri: str = field(metadata={"help": "The repository, as LOCATION-docker.pkg.dev/PROJECT/REPOSITORY."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint_url is None and not (_PLACE.fullmatch(self.uri.strip("/")) or _OLD.fullmatch(self.uri.strip("/"))):
            raise ConfigurationError(f"`uri` is {self.uri!r}. Write it as LOCATION-docker.pkg.dev/PROJECT/REPOSITORY.")

    @property
    def host(self) -> str:
        return self.uri.partition("/")[0]

    def find(self, reference: str) -> str | None:
        repository, tag = self._parts(reference)
        try:
            answer = self._asked(f"/v2/{repository}/manifests/{tag}", f"Image {reference}")
        except GoogleError as error:
            if error.kind is Kind.ABSENT:
                return None
            raise ImageError(str(error)) from error
        return str(answer.headers.get("Docker-Content-Digest") or "") or None

    def credentials(self) -> Credentials | None:
        """A token that is good for some minutes at least; asked for anew when it is older."""
        from google.auth import exceptions

        try:
            found = self.google_credentials()
            if found is None:
                return None
            if not found.valid:
                found.refresh(self._signing_in())
        except GoogleError as error:
            raise ImageError(str(error)) from error
        except exceptions.GoogleAuthError as error:
            raise ImageError(str(unasked(error, self._subject(), repeated=False))) from error
        return Credentials(self.host, _USER, Secret(found.token))

    def check(self) -> list[str]:
        """Whether it can be asked, and whether the repository is there."""
        try:
            with self.briefly():
                self._asked("/v2/", self._subject())
                self._look_for_repository()
        except GoogleError as error:
            return [str(error)]
        return []

    def _look_for_repository(self) -> None:
        place = _PLACE.fullmatch(self.uri.strip("/"))
        if place is None:
            return
        location, project, repository = place["location"], place["project"], place["repository"]
        make = f"`gcloud artifacts repositories create {repository} --repository-format=docker --location={location} --project={project}`"
        url = f"{self.endpoint_url or 'https://artifactregistry.googleapis.com'}/v1/projects/{project}/locations/{location}/repositories/{repository}"
        cures = {**self._cures(), 404: f"Make it by {make}"}
        found: Any = self.asked("GET", url, f"{self._subject()}, repository {repository}", cures=cures).json()
        if found.get("format", "DOCKER") != "DOCKER":
            raise GoogleError(
                f"{self._subject()}: repository {repository} is of format {found['format']}. Make one for images by {make}.", Kind.REFUSED
            )

    def _asked(self, path: str, what: str) -> Any:
        url = f"{self.endpoint_url or f'https://{self.host}'}".rstrip("/")
        return self.asked("HEAD", f"{url}{path}", what, cures=self._cures(), headers={"Accept": _MANIFESTS}, allow_redirects=False)

    def _cures(self) -> dict[int | str, str]:
        place = _PLACE.fullmatch(self.uri.strip("/"))
        project = place["project"] if place else self.project or "PROJECT"
        grant = f"Grant the role by `gcloud projects add-iam-policy-binding {project} --member=MEMBER --role={_ROLE}`"
        return {403: grant, "SERVICE_DISABLED": f"Switch it on by `gcloud services enable artifactregistry.googleapis.com --project={project}`"}

    def _parts(self, reference: str) -> tuple[str, str]:
        """(repository as the API names it, tag or digest) of a reference into this registry."""
        if not reference.startswith(f"{self.host}/"):
            raise ImageError(f"Image {reference} is not in container registry '{self.name}', whose images begin with {self.host}/.")
        path = reference[len(self.host) + 1 :]
        if "@" in path:
            repository, _, digest = path.partition("@")
            return repository, digest
        repository, mark, tag = path.rpartition(":")
        return (repository, tag) if mark and "/" not in tag else (path, "latest")
