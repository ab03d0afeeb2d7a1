"""A webhook's endpoint on this machine, for tests of alerters: it keeps what is posted and answers as the tool would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """`path` begins with '/' and has the query with it. `body`: what the JSON says, None where there is none."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Endpoint:
    """`url`: its address without a path. `taken`: the requests that were answered with a success, in their order."""

    url: str
    answer: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)
    taken: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, request: Request) -> Reply:
        with self.lock:
            self.requests.append(request)
            reply = self.answer(request)
            if 200 <= reply.status < 300:
                self.taken.append(request)
            return reply


@contextmanager
def webhook_endpoint(answer: Callable[[Request], Reply]) -> Iterator[Endpoint]:
    """Listens on loopback until the block ends. `answer` decides what becomes of each request; it is asked one at a time."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}", answer)
        server.endpoint = endpoint  # type: ignore[attr-defined]  # the server's own way to reach its handlers
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        said = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(said) if said else None
        except ValueError:
            body = None
        endpoint: Endpoint = self.server.endpoint  # type: ignore[attr-defined]
        reply = endpoint.handle(Request(self.command, self.path, dict(self.headers), body))
        content = reply.body.encode()
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is its own."""
