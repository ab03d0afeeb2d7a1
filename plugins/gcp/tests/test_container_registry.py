"""The registry of Artifact Registry keeps the contract on a real registry, and signs in as Google's own ask for."""

from __future__ import annotations

import datetime
import hashlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google_fake import GoogleFake, Problem

from dovetail.errors import ConfigurationError, ImageError
from dovetail.testing import ContainerRegistryContract
from dovetail_docker.testing import LocalRegistry, Unavailable, free_port
from dovetail_gcp.container_registry import ArtifactRegistry

URI = "europe-west4-docker.pkg.dev/my-project/images"


@pytest.fixture(scope="module")
def registry() -> Iterator[LocalRegistry]:
    try:
        started = LocalRegistry(None).__enter__()
    except Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        started.__exit__()


def put_into(registry: LocalRegistry) -> Callable[[str], str]:
    """Pushes an image without layers, by the API alone."""

    def asked(method: str, url: str, data: bytes, kind: str = "application/octet-stream") -> Any:
        return urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": kind}, method=method), timeout=10)

    def put(reference: str) -> str:
        repository, _, tag = reference.partition("/")[2].rpartition(":")
        place = f"http://{registry.uri}/v2/{repository}"
        config = json.dumps({"architecture": "amd64", "os": "linux", "note": reference, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        with asked("POST", f"{place}/blobs/uploads/", b"") as begun:
            upload = begun.headers["Location"]
        asked("PUT", f"{upload}{'&' if '?' in upload else '?'}digest={digest}", config).close()
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        about = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": about, "layers": []}).encode()
        with asked("PUT", f"{place}/manifests/{tag}", manifest, kind) as stored:
            return str(stored.headers["Docker-Content-Digest"])

    return put


class TestArtifactRegistry(ContainerRegistryContract):
    @pytest.fixture
    def container_registry(self, registry: LocalRegistry) -> ArtifactRegistry:
        return ArtifactRegistry(uri=f"{registry.uri}/project/images", endpoint_url=f"http://{registry.uri}").called("images", "gar")  # type: ignore[return-value]

    @pytest.fixture
    def unreachable(self) -> ArtifactRegistry:
        place = f"127.0.0.1:{free_port()}"
        return ArtifactRegistry(uri=f"{place}/p/images", endpoint_url=f"http://{place}", attempts=1).called("away", "gar")  # type: ignore[return-value]

    @pytest.fixture
    def put(self, registry: LocalRegistry) -> Callable[[str], str]:
        return put_into(registry)


@pytest.fixture
def signed(google: GoogleFake, monkeypatch: pytest.MonkeyPatch) -> ArtifactRegistry:
    """At a fake of Google's, with credentials whose first token is used up."""
    from google.oauth2.credentials import Credentials

    made = ArtifactRegistry(uri=URI, endpoint_url=google.url).called("images", "gar")
    google.route("POST", "/token", lambda _: {"access_token": "fresh", "expires_in": 3600, "token_type": "Bearer"})
    google.route("HEAD", "/v2/.*", lambda _: {})
    used_up = datetime.datetime(2020, 1, 1)  # noqa: DTZ001  # as google-auth keeps it
    credentials = Credentials("old", refresh_token="r", token_uri=f"{google.url}/token", client_id="c", client_secret="s", expiry=used_up)  # type: ignore[no-untyped-call]
    monkeypatch.setattr(ArtifactRegistry, "google_credentials", lambda _: credentials)
    return made  # type: ignore[return-value]


def test_who_pushes_logs_in_with_a_token_that_is_still_good(signed: ArtifactRegistry) -> None:
    found = signed.credentials()
    assert found is not None
    assert (found.server, found.username, found.password.reveal()) == ("europe-west4-docker.pkg.dev", "oauth2accesstoken", "fresh")


def test_an_image_is_asked_for_with_the_token(signed: ArtifactRegistry, google: GoogleFake) -> None:
    signed.find(f"{URI}/train:1")
    [asked] = google.received("HEAD", "/v2/my-project/images/train/manifests/1")
    assert asked.headers["authorization"] == "Bearer fresh"


def test_a_repository_that_is_not_there_is_told_with_the_command_that_makes_it(signed: ArtifactRegistry) -> None:
    [problem] = signed.check()
    assert "gcloud artifacts repositories create images --repository-format=docker --location=europe-west4 --project=my-project" in problem


def test_a_repository_of_another_format_is_told(signed: ArtifactRegistry, google: GoogleFake) -> None:
    google.route("GET", "/v1/projects/my-project/locations/europe-west4/repositories/images", lambda _: {"format": "PYTHON"})
    [problem] = signed.check()
    assert "PYTHON" in problem


def test_rights_that_lack_are_told_with_the_role(signed: ArtifactRegistry, google: GoogleFake) -> None:
    google.refused.append(("HEAD /v2/.*", Problem(403, "DENIED", "")))
    with pytest.raises(ImageError, match="add-iam-policy-binding my-project .*roles/artifactregistry.writer"):
        signed.find(f"{URI}/train:1")


@pytest.mark.parametrize("uri", ["docker.io/me", "europe-west4-docker.pkg.dev/p", "https://europe-west4-docker.pkg.dev/p/r", "eu-docker.pkg.dev/p/"])
def test_what_is_no_repository_of_googles_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match=r"LOCATION-docker\.pkg\.dev/PROJECT/REPOSITORY"):
        ArtifactRegistry(uri=uri)
