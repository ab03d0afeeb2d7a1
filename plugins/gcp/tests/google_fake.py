"""Google's REST APIs on loopback: what is asked is kept, and answered by routes that each part of a fake adds.

with GoogleFake() as google:
    google.route("GET", r"/v1/projects/p/things/(?P<thing>[^/]+)", lambda asked: {"name": asked.parts["thing"]})
    component = Component(endpoint_url=google.url, …)
google.received("POST", "/things")       what was asked, in order
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Route = Callable[["Asked"], Any]


@dataclass(frozen=True)
class Asked:
    """One request. `parts`: the named groups of the route's path. `body`: as JSON, else the bytes."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    parts: Mapping[str, str]


class Problem(Exception):
    """What a route raises to answer with an error, in the form that Google's services give it."""

    def __init__(self, code: int, status: str, message: str, reason: str = "") -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}] if reason else []
        self.code, self.body = code, {"error": {"code": code, "status": status, "message": message, "details": details}}
        super().__init__(message)


class GoogleFake:
    """`lost`: paths (as regular expressions) of which the next answer is done and never sent. `refused`: likewise, with the Problem to answer."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []
        self.asked: list[Asked] = []
        self.lost: list[str] = []
        self.refused: list[tuple[str, Problem]] = []
        self.lock = threading.RLock()

    def __enter__(self) -> GoogleFake:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def route(self, method: str, path: str, answer: Route) -> None:
        """`answer` gives what is sent as JSON. The route that was added last comes first."""
        self._routes.insert(0, (method, re.compile(path), answer))

    def received(self, method: str, ending: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method and re.search(f"{ending}$", asked.path)]

    def answer(self, asked: Asked) -> tuple[int, Any] | None:
        """Status and body, None where the answer gets lost."""
        for method, path, route in self._routes:
            found = path.fullmatch(asked.path)
            if found is None or method != asked.method:
                continue
            named = Asked(asked.method, asked.path, asked.query, asked.body, asked.headers, found.groupdict())
            with self.lock:
                self.asked.append(named)
                refusal = _taken(self.refused, named)
            try:
                if refusal is not None:
                    raise refusal[1]
                told = route(named)
            except Problem as problem:
                return problem.code, problem.body
            with self.lock:
                return None if _taken([(each, None) for each in self.lost], named, self.lost) else (200, told)
        return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": f"no route for {asked.method} {asked.path}"}}


def _taken(planned: list[Any], asked: Asked, source: list[Any] | None = None) -> Any:
    """The first plan for this request, which is then used up. A plan names method and path: `POST .*/customJobs`."""
    for number, plan in enumerate(planned):
        if re.fullmatch(plan[0], f"{asked.method} {asked.path}"):
            (planned if source is None else source).pop(number)
            return plan
    return None


def _handler(fake: GoogleFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer is sent at once, not its head first

        def _serve(self) -> None:
            split = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw
            query = {name: values[-1] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
            answer = fake.answer(Asked(self.command, split.path, query, body, dict(self.headers), {}))
            if answer is None:
                self.close_connection = True
                return
            content = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            return

    return Handler
