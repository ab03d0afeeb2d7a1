"""What a machine in Azure asks for tokens in the name of its identity."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass
class IdentityService:
    """`life`: seconds for which a token is taken. `refuses`: there is no identity."""

    port: int = 0
    life: float = 3600.0
    issued: list[str] = field(default_factory=list)
    resources: set[str] = field(default_factory=set)
    refuses: bool = False

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{self.port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "planted")

    def is_fresh(self, authorization: str) -> bool:
        token = authorization.removeprefix("Bearer ")
        return token in self.issued and time.time() - float(token.rpartition("-")[2]) <= self.life


@contextmanager
def identity_service() -> Iterator[IdentityService]:
    service = IdentityService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if service.refuses or self.headers.get("X-IDENTITY-HEADER") != "planted":
                self.say(400, {"statusCode": 400, "message": "No identity is assigned."})
                return
            service.resources.add(query["resource"][0])
            service.issued.append(f"token-{len(service.issued)}-{time.time():.3f}")
            until = str(int(time.time() + service.life + 0.999))
            self.say(200, {"access_token": service.issued[-1], "expires_on": until, "resource": query["resource"][0], "token_type": "Bearer"})

        def say(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
