"""Stands before a server that speaks S3: notes every request, and lets go wrong what a test wants to go wrong."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    size: int

    @property
    def is_conditional(self) -> bool:
        return self.headers.get("if-none-match") == "*"

    @property
    def verb(self) -> str:
        """What S3 calls it, shortly: PUT, GET, HEAD, DELETE of one object; LIST; others by what their query names."""
        if self.method == "GET" and "list-type" in self.query:
            return "LIST"
        return "+".join([self.method, *(name for name in ("uploads", "uploadId", "delete") if name in self.query)])


@dataclass(frozen=True)
class Fault:
    """What becomes of a request. `delay`: seconds before its answer. `answer`: status and body in place of asking the server.

    `drop`: the connection ends before the server is asked. `lose`: it ends instead of the answer, half of it being `cut` sent first.
    `without`: a header that the server does not get to see.
    """

    delay: float = 0.0
    answer: tuple[int, bytes] | None = None
    drop: bool = False
    lose: bool = False
    cut: bool = False
    without: str = ""


SLOW_DOWN = Fault(answer=(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"))
DROP = Fault(drop=True)
LOSE = Fault(lose=True)
CUT = Fault(lose=True, cut=True)


def said(status: int, code: str, message: str = "") -> Fault:
    """The service answers with an error."""
    return Fault(answer=(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()))


@dataclass
class Front:
    """`requests`: all that came, in order. `fault`: asked with each; None lets it pass."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    fault: Callable[[Request], Fault | None] = lambda _: None
    made: Counter[str] = field(default_factory=Counter)  # faults by kind

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def verbs(self) -> list[str]:
        return [request.verb for request in self.requests]

    @contextmanager
    def faulty(self, fault: Callable[[Request], Fault | None]) -> Iterator[None]:
        self.fault = fault
        try:
            yield
        finally:
            self.fault = lambda _: None

    @contextmanager
    def noted(self) -> Iterator[list[Request]]:
        """The requests that come inside the block."""
        start, kept = len(self.requests), []
        yield kept
        kept += self.requests[start:]


def once(fault: Fault, wanted: Callable[[Request], bool] = lambda _: True) -> Callable[[Request], Fault | None]:
    """The first request that is wanted meets the fault."""
    return times(1, fault, wanted)


def times(count: int, fault: Fault, wanted: Callable[[Request], bool] = lambda _: True) -> Callable[[Request], Fault | None]:
    left, lock = [count], threading.Lock()

    def choose(request: Request) -> Fault | None:
        with lock:
            if left[0] and wanted(request):
                left[0] -= 1
                return fault
        return None

    return choose


@contextmanager
def front(backend: int) -> Iterator[Front]:
    """Listens on loopback before the server of that port."""
    noted = Front()

    class Handler(_Handler):
        shared = noted
        server_port = backend

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
        request = Request(self.command, unquote(url.path), parse_qs(url.query, keep_blank_values=True), headers, len(body))
        fault = self.shared.fault(request) or Fault()
        self.shared.requests.append(request)
        if fault != Fault():
            self.shared.made["drop" if fault.drop else "lose" if fault.lose else "answer" if fault.answer else "delay"] += 1
        if fault.drop:
            self.close_connection = True
            return
        if fault.answer is not None:
            time.sleep(fault.delay)
            self._answer(fault.answer[0], {"Content-Type": "application/xml"}, fault.answer[1], fault)
            return
        status, given, content = self._asked(body, fault)
        time.sleep(fault.delay)
        self._answer(status, given, content, fault)

    def _asked(self, body: bytes, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in (*_HOP, "expect", fault.without.lower())}
        for fresh in (False, True):
            if self._onward is None or fresh:
                self._onward = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=60)
            try:
                self._onward.request(self.command, self.path, body, headers)
                answer = self._onward.getresponse()
                return answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}, answer.read()
            except (OSError, http.client.HTTPException):
                if fresh:
                    raise
        raise AssertionError

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
