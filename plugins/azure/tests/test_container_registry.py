"""Azure's registry lets in who has a password, or a token that it made of one of Azure's."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dovetail.components import Secret
from dovetail.errors import ImageError
from dovetail.testing import ContainerRegistryContract
from dovetail_azure.container_registry import AzureRegistry
from identity_service import IdentityService, identity_service

NOBODY = "00000000-0000-0000-0000-000000000000"
DIGEST = "sha256:" + "ab" * 32


class Registry:
    """As Azure's: it exchanges a token of Azure's for one of its own, and that, as a password, for one that its API takes."""

    def __init__(self) -> None:
        self.exchanges: list[dict[str, list[str]]] = []
        self.logins: list[str] = []
        self.answers = 200
        self.life = 3 * 3600.0
        self.images = {"team/app/1": DIGEST}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                registry.exchanges.append({"path": [self.path], **form})
                claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + registry.life, "n": len(registry.exchanges)}).encode())
                self.say(registry.answers, {"refresh_token": f"h.{claims.decode().rstrip('=')}.s"})

            def do_GET(self) -> None:
                given = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
                registry.logins.append(given)
                allowed = given.startswith(f"{NOBODY}:h.") or given == "admin:right"
                self.say(200 if allowed else 401, {"access_token": "for the API"})

            def do_HEAD(self) -> None:
                if self.headers.get("Authorization") != "Bearer for the API":
                    realm = f'Bearer realm="http://127.0.0.1:{registry.port}/oauth2/token",service="{registry.host}"'
                    self.say(401, {}, {"WWW-Authenticate": realm})
                    return
                parts = urlsplit(self.path).path.split("/")
                digest = registry.images.get("/".join([*parts[2:-2], parts[-1]])) if len(parts) > 4 else ""
                self.say(200 if digest is not None else 404, {}, {"Docker-Content-Digest": digest or ""})

            def say(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
                body = b"" if self.command == "HEAD" else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"


@pytest.fixture
def served() -> Iterator[Registry]:
    registry = Registry()
    thread = threading.Thread(target=registry.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield registry
    registry.server.shutdown()
    registry.server.server_close()
    thread.join()


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityService]:
    with identity_service() as service:
        service.use(monkeypatch)
        yield service


def made(served: Registry, **fields: Any) -> AzureRegistry:
    registry = AzureRegistry(uri=f"{served.host}/team", **fields)
    registry.called("images", "acr")
    return registry


def test_who_is_signed_in_to_azure_may_ask(served: Registry, identity: IdentityService) -> None:
    registry = made(served, tenant="t")
    assert registry.check() == []
    assert registry.find(registry.reference("app", "1")) == DIGEST
    assert registry.find(registry.reference("app", "2")) is None
    (exchange,) = served.exchanges
    assert exchange == {
        "path": ["/oauth2/exchange"], "grant_type": ["access_token"], "service": [served.host], "tenant": ["t"], "access_token": identity.issued,
    }  # fmt: skip
    assert identity.resources == {"https://containerregistry.azure.net"}
    found = registry.credentials()
    assert found is not None
    assert (found.server, found.username) == (served.host, NOBODY)
    assert found.password.reveal().startswith("h.")
    assert found.password.reveal() not in repr(registry)


def test_a_token_that_ends_soon_is_exchanged_anew(served: Registry, identity: IdentityService) -> None:
    registry = made(served)
    served.life = 200.0
    first = registry.credentials()
    second = registry.credentials()
    assert len(served.exchanges) == 2
    served.life = 3600.0
    assert registry.credentials() == registry.credentials()
    assert first != second
    assert len(served.exchanges) == 3


def test_a_user_with_a_password_needs_no_azure(served: Registry) -> None:
    registry = made(served, username="admin", password=Secret("right"))
    assert registry.check() == []
    assert registry.find(registry.reference("app", "1")) == DIGEST
    assert served.exchanges == []
    assert set(served.logins) == {"admin:right"}


def test_nobody_who_is_signed_in_is_told_with_the_command_that_cures_it(served: Registry, identity: IdentityService) -> None:
    identity.refuses = True
    (problem,) = made(served).check()
    assert "az login" in problem
    assert "Container registry 'images'" in problem
    with pytest.raises(ImageError, match="username and a password"):
        made(served).credentials()


@pytest.mark.parametrize(("status", "cure"), [(401, "az role assignment create --role AcrPush"), (404, "names a registry of Azure's")])
def test_a_registry_that_does_not_take_the_token_is_told_with_its_cure(
    served: Registry, identity: IdentityService, status: int, cure: str
) -> None:
    served.answers = status
    (problem,) = made(served).check()
    assert cure in problem
    assert str(status) in problem


def test_a_registry_that_is_not_there_is_told(identity: IdentityService) -> None:
    registry = AzureRegistry(uri="127.0.0.1:1/team")
    registry.called("images", "acr")
    (problem,) = registry.check()
    assert "az acr list" in problem


class TestAcr(ContainerRegistryContract):
    @pytest.fixture
    def container_registry(self, served: Registry, identity: IdentityService) -> AzureRegistry:
        return made(served)

    @pytest.fixture
    def unreachable(self, identity: IdentityService) -> AzureRegistry:
        return AzureRegistry(uri="127.0.0.1:1/team")

    @pytest.fixture
    def put(self, served: Registry) -> Callable[[str], str]:
        def pushed(reference: str) -> str:
            path, _, tag = reference.partition("/")[2].rpartition(":")
            served.images[f"{path}/{tag}"] = "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
            return served.images[f"{path}/{tag}"]

        return pushed
