"""Stands before a server that speaks HTTP: notes every request, and lets go wrong what a test wants to go wrong.

    with front(server.port) as watched:                 # the client is told `watched.url`
        with watched.faulty(once(LOSE, lambda request: request.method == "PUT")):
            ...                                         # the first PUT is carried out, and its answer never comes
        assert [request.verb for request in watched.requests] == ["PUT", "HEAD"]
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding"}
_KEPT = 64 << 10  # bytes of a body that are kept
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """`path` is unquoted; the names of `headers` are in small letters. `body`: that of a request of no more than 64 KiB."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    size: int
    body: bytes = b""

    @property
    def verb(self) -> str:
        """What a test calls it; a subclass, given to `front`, may tell more apart."""
        return self.method


@dataclass(frozen=True)
class Fault:
    """What becomes of a request. `delay`: seconds before its answer. `answer`: status and body in place of asking the server.

    `drop`: the connection ends before the server is asked. `lose`: it ends instead of the answer, half of it being `cut` sent first.
    `stale`: the answer that the same question got before, if there was one. `without`: a header or parameter that the server does not get to see.
    """

    delay: float = 0.0
    answer: tuple[int, bytes] | None = None
    drop: bool = False
    lose: bool = False
    cut: bool = False
    stale: bool = False
    without: str = ""

    @property
    def kind(self) -> str:
        kinds = (("drop", self.drop), ("lose", self.lose), ("answer", self.answer is not None), ("stale", self.stale))
        return next((name for name, holds in kinds if holds), "delay")


DROP = Fault(drop=True)
LOSE = Fault(lose=True)
CUT = Fault(lose=True, cut=True)
STALE = Fault(stale=True)


@dataclass
class Front:
    """`requests`: all that came, in order. `fault`: asked with each; None lets it pass. `made`: how many faults of each kind there were.

    `onward`: what the server gets to see of an address and headers.
    """

    port: int = 0
    requests: list[Any] = field(default_factory=list)
    fault: Callable[[Any], Fault | None] = lambda _: None
    made: Counter[str] = field(default_factory=Counter)
    onward: Callable[[str, dict[str, str]], tuple[str, dict[str, str]]] = lambda path, headers: (path, headers)
    _before: dict[tuple[str, str], Answer] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def verbs(self) -> list[str]:
        return [request.verb for request in self.requests]

    @contextmanager
    def faulty(self, fault: Callable[[Any], Fault | None]) -> Iterator[None]:
        self.fault = fault
        try:
            yield
        finally:
            self.fault = lambda _: None

    @contextmanager
    def noted(self) -> Iterator[list[Any]]:
        """The requests that come inside the block."""
        start = len(self.requests)
        kept: list[Any] = []
        yield kept
        kept += self.requests[start:]


def once(fault: Fault, wanted: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], Fault | None]:
    """The first request that is wanted meets the fault."""
    return times(1, fault, wanted)


def times(count: int, fault: Fault, wanted: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], Fault | None]:
    left, lock = [count], threading.Lock()

    def choose(request: Any) -> Fault | None:
        with lock:
            if left[0] and wanted(request):
                left[0] -= 1
                return fault
        return None

    return choose


@contextmanager
def front(backend: int, request: type[Request] = Request) -> Iterator[Front]:
    """Listens on loopback before the server of that port."""
    noted = Front()

    class Handler(_Handler):
        shared = noted
        server_port = backend
        request_type = request

    server = _Server(("127.0.0.1", 0), Handler)
    noted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield noted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is part of many a test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    shared: Front
    server_port: int
    request_type: type[Request]
    _onward: http.client.HTTPConnection | None = None

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self._serve()
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        kept = body if len(body) <= _KEPT else b""
        request = self.request_type(self.command, unquote(url.path), parse_qs(url.query, keep_blank_values=True), headers, len(body), kept)
        fault = self.shared.fault(request) or Fault()
        self.shared.requests.append(request)
        if fault != Fault():
            self.shared.made[fault.kind] += 1
        if fault.drop:
            self.close_connection = True
            return
        answer = self._answer_to(body, fault)
        time.sleep(fault.delay)
        self._answer(*answer, fault)

    def _answer_to(self, body: bytes, fault: Fault) -> Answer:
        if fault.answer is not None:
            status, content = fault.answer
            return status, {"Content-Type": "application/json" if content.startswith(b"{") else "application/xml"}, content
        question = (self.command, f"{self.path} {self.headers.get('Range')}")
        known = self.shared._before.get(question)
        if fault.stale and known is not None:
            return known
        given = self._asked(body, fault)
        if self.command in ("GET", "HEAD") and len(given[2]) <= _KEPT:
            self.shared._before[question] = given
        return given

    def _asked(self, body: bytes, fault: Fault) -> Answer:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in (*_HOP, "expect", fault.without.lower())}
        path, headers = self.shared.onward(_without(self.path, fault.without), headers)
        for fresh in (False, True):
            if self._onward is not None and fresh:
                self._onward.close()
            if self._onward is None or fresh:
                self._onward = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=60)
            try:
                self._onward.request(self.command, path, body, headers)
                answer = self._onward.getresponse()
                return answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}, answer.read()
            except (OSError, http.client.HTTPException):
                if fresh:
                    raise
        raise AssertionError("the second time it is raised")

    def _answer(self, status: int, headers: dict[str, str], content: bytes, fault: Fault) -> None:
        if fault.lose and not fault.cut:
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if fault.cut else content)
        self.close_connection = self.close_connection or fault.cut

    def finish(self) -> None:
        if self._onward is not None:
            self._onward.close()
        super().finish()


def _without(path: str, parameter: str) -> str:
    """The path and query, but for that parameter."""
    before, mark, query = path.partition("?")
    left = [pair for pair in query.split("&") if pair.partition("=")[0] != parameter]
    return f"{before}?{'&'.join(left)}" if mark and left else before
