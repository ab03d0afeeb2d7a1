"""What gives out access tokens, as Google's own does: to a service account's key that signs for itself, to a user, and to a machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass
class TokenService:
    """`life`: seconds for which a token is taken. `refuses`: what it answers in place of a token."""

    port: int = 0
    life: float = 3600.0
    issued: list[str] = field(default_factory=list)
    refuses: str = ""
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_fresh(self, authorization: str) -> bool:
        token = authorization.removeprefix("Bearer ")
        return token in self.issued and time.time() - float(token.rpartition("-")[2]) <= self.life


@contextmanager
def token_service() -> Iterator[TokenService]:
    service = TokenService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            if service.refuses:
                self.say(400, {"error": service.refuses, "error_description": "Token has been expired or revoked."})
                return
            service.issued.append(f"token-{len(service.issued)}-{time.time():.3f}")
            if self.path.endswith(":generateAccessToken"):
                until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + service.life))
                self.say(200, {"accessToken": service.issued[-1], "expireTime": until})
            else:
                self.say(200, {"access_token": service.issued[-1], "expires_in": int(service.life), "token_type": "Bearer"})

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


def account_key(service: TokenService, secret: rsa.RSAPrivateKey | None = None) -> str:
    """A service account's key, as `gcloud iam service-accounts keys create` writes it."""
    made = secret or rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps(
        {
            "type": "service_account", "project_id": "trial-project", "private_key_id": "1", "private_key": pem.decode(),
            "client_email": "trial@trial-project.iam.gserviceaccount.com", "client_id": "1", "token_uri": f"{service.url}/token",
        }
    )  # fmt: skip
