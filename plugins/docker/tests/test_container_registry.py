"""Registries on loopback: a real one with and without a password, and one that hands out tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.errors import ImageError
from dovetail.testing import ContainerRegistryContract
from dovetail_docker.container_registry import DockerHubRegistry, OciRegistry
from dovetail_docker.testing import LocalRegistry, free_port


def put_into(registry: LocalRegistry) -> Callable[[str], str]:
    """Pushes an image without layers, by the API alone."""

    def asked(method: str, url: str, data: bytes | None = None, kind: str = "application/octet-stream") -> Any:
        headers = {"Content-Type": kind}
        if registry.password is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(f'{registry.user}:{registry.password}'.encode()).decode()}"
        return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10)

    def put(reference: str) -> str:
        repository, _, tag = reference.partition("/")[2].rpartition(":")
        place = f"http://{registry.uri}/v2/{repository}"
        config = json.dumps({"architecture": "amd64", "os": "linux", "note": reference, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        with asked("POST", f"{place}/blobs/uploads/", b"") as begun:
            upload = begun.headers["Location"]
        with asked("PUT", f"{upload}{'&' if '?' in upload else '?'}digest={digest}", config):
            pass
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        about = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": about, "layers": []}).encode()
        with asked("PUT", f"{place}/manifests/{tag}", manifest, kind) as stored:
            return str(stored.headers["Docker-Content-Digest"])

    return put


class TestOpenRegistry(ContainerRegistryContract):
    @pytest.fixture
    def container_registry(self, registry: LocalRegistry) -> OciRegistry:
        return OciRegistry(uri=registry.uri).called("open", "oci")

    @pytest.fixture
    def unreachable(self) -> OciRegistry:
        return OciRegistry(uri=f"127.0.0.1:{free_port()}/team").called("away", "oci")

    @pytest.fixture
    def put(self, registry: LocalRegistry) -> Callable[[str], str]:
        return put_into(registry)


class TestGuardedRegistry(ContainerRegistryContract):
    @pytest.fixture
    def container_registry(self, guarded: LocalRegistry) -> OciRegistry:
        return OciRegistry(uri=f"{guarded.uri}/some/team", username=guarded.user, password=Secret(guarded.password)).called("guarded", "oci")

    @pytest.fixture
    def put(self, guarded: LocalRegistry) -> Callable[[str], str]:
        return put_into(guarded)


@pytest.mark.parametrize("given", [{}, {"username": "tester", "password": Secret("wrong-0815")}])
def test_who_is_not_let_in_is_told_what_to_set(guarded: LocalRegistry, given: dict[str, Any]) -> None:
    registry = OciRegistry(uri=guarded.uri, **given).called("mine", "oci")
    [problem] = registry.check()
    assert "answered 401" in problem
    assert "`dovetail container-registry update mine --username=… --password=…`" in problem
    assert "wrong-0815" not in problem
    with pytest.raises(ImageError, match="answered 401"):
        registry.find(registry.reference("x", "1"))


def test_an_image_of_another_registry_is_not_asked_for(registry: LocalRegistry) -> None:
    with pytest.raises(ImageError, match="whose images begin with"):
        OciRegistry(uri=registry.uri).called("mine", "oci").find("ghcr.io/team/x:1")


@pytest.mark.parametrize("uri", ["https://registry.example.com/x", "me:secret-77@registry.example.com", "", "two words"])
def test_a_uri_that_names_no_registry_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="uri"):
        OciRegistry(uri=uri)


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="both or neither"):
        OciRegistry(uri="registry.example.com", username="me")


class TokenRegistry:
    """Asks for a token, which its own realm hands out for a password, as Docker Hub, GHCR and GitLab do."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"
        self.realm = f"http://{self.place}/token"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        login = request.headers.get("Authorization", "")
        self.asked.append((request.path, login))
        status, body, headers = 200, b"", {}
        if request.path.startswith("/token"):
            good = login == f"Basic {base64.b64encode(b'me:hunter22').decode()}"
            status, body = (200, b'{"token": "the-token"}') if good else (401, b"")
        elif login != "Bearer the-token":
            status, headers = 401, {"WWW-Authenticate": f'Bearer realm="{self.realm}",service="tests",scope="repository:x:pull"'}
        else:
            headers = {"Docker-Content-Digest": "sha256:1234"}
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


@pytest.fixture
def tokens() -> Iterator[TokenRegistry]:
    made = TokenRegistry()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_token_is_got_for_the_password_and_used(tokens: TokenRegistry) -> None:
    registry = OciRegistry(uri=tokens.place, username="me", password=Secret("hunter22"))
    assert registry.find(registry.reference("x", "1")) == "sha256:1234"
    assert tokens.asked[1][0] == "/token?service=tests&scope=repository%3Ax%3Apull"
    assert registry.check() == []


def test_a_wrong_password_gets_no_token(tokens: TokenRegistry) -> None:
    registry = OciRegistry(uri=tokens.place, username="me", password=Secret("hunter23"))
    with pytest.raises(ImageError, match="did not log in me at .* answered 401"):
        registry.find(registry.reference("x", "1"))


def test_a_password_is_not_sent_over_the_network_in_the_clear(tokens: TokenRegistry) -> None:
    tokens.realm = "http://auth.example.com/token"
    registry = OciRegistry(uri=tokens.place, username="me", password=Secret("hunter22"))
    with pytest.raises(ImageError, match=r"over HTTP.*insecure: true"):
        registry.find(registry.reference("x", "1"))
    assert all("Basic" not in login for _, login in tokens.asked)


def test_docker_hub_is_known_by_its_own_names() -> None:
    hub = DockerHubRegistry(uri="docker.io/acme", username="acme", password=Secret("hunter22"))
    assert hub.reference("dovetail", "1") == "docker.io/acme/dovetail:1"
    found = hub.credentials()
    assert found is not None
    assert (found.server, found.username) == ("https://index.docker.io/v1/", "acme")
    with pytest.raises(ValueError, match="docker.io/NAME"):
        DockerHubRegistry(uri="docker.io")
