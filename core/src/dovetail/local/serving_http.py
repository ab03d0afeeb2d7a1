"""The endpoint: `GET /health`, and `POST /predict` with `Authorization: Bearer …`."""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dovetail.local.serving_folder import Serving

Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_DISCARDED = 1 << 26  # bytes of a refused request that are still read, so that its sender sees the answer


def say(message: str) -> None:
    print(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} {message}", file=sys.stderr, flush=True)


class Refused(Exception):
    """A request that is answered with `status` and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Endpoint(ThreadingHTTPServer):
    """Answers on a listening socket that it was given, and that other processes may share."""

    def __init__(self, listener: socket.socket, serving: Serving, token: str, predict: Predict) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        # Whoever shares it may take a connection first; waiting for the next one would keep this process from stopping.
        listener.setblocking(False)
        self.socket = listener
        self.serving, self.token, self.predict = serving, token, predict
        self._answering = 0
        self._idle = threading.Condition()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        with self._idle:
            self._answering += 1
        try:
            yield
        finally:
            with self._idle:
                self._answering -= 1
                self._idle.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: self._answering == 0, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # an OSError here is a caller that went away
            super().handle_error(request, client_address)


class _Timed(socket.SocketIO):
    """Reads until a deadline: a timeout of the socket alone begins anew with every byte that a slow caller sends."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection, "rb")
        self.connection = connection
        self.deadline = time.monotonic()

    def readinto(self, buffer: Any) -> int | None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        return super().readinto(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._reader = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        self._reader.deadline = time.monotonic() + self.server.serving.timeout
        super().handle_one_request()

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/health":
            return self._refuse(Refused(404, f"There is no GET {self.path[:80]}; there are GET /health and POST /predict."))
        return self._answer(200, {"status": "ok", "deployment": self.server.serving.id})

    def do_POST(self) -> None:
        with self.server.answering():
            try:
                answer = self.server.predict(self._message())
            except Refused as refused:
                self._refuse(refused)
            except TimeoutError:
                self._refuse(Refused(408, f"The request was not whole within {self.server.serving.timeout:g} seconds."))
            else:
                self._answer(200, answer)

    def _message(self) -> Mapping[str, Any]:
        if self.path.partition("?")[0] != "/predict":
            raise Refused(404, f"There is no POST {self.path[:80]}; there are GET /health and POST /predict.")
        self._check_token()
        body = self._body()
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"The request is not JSON: {error}.") from error
        if not isinstance(message, dict) or ("instances" in message) == ("columns" in message):
            raise Refused(400, 'The request must be {"instances": [row, …]} or {"columns": {"name": [value, …]}}.')
        return message

    def _check_token(self) -> None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        right = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.server.token.encode())
        if self.server.serving.require_token and not right:
            raise Refused(401, "The token is missing or wrong; send the header 'Authorization: Bearer <token>'.")

    def _body(self) -> bytes:
        given, limit = self.headers.get("Content-Length", ""), self.server.serving.max_request_bytes
        if not (given.isascii() and given.isdigit()) or "Transfer-Encoding" in self.headers:
            raise Refused(411, "The request must say its Content-Length.")
        if len(given) > 18 or int(given) > limit:
            raise Refused(413, f"The request has {given[:18]} bytes, more than the {limit} that are read; send fewer rows.")
        body = self.rfile.read(int(given))
        if len(body) < int(given):
            raise Refused(400, f"The request ended after {len(body)} of {given} bytes.")
        return body

    def _refuse(self, refused: Refused) -> None:
        say(f"{self.command} {self.path[:80]!r}: {refused.status} {str(refused)!r}")
        if refused.status != 400:  # its body may be unread
            self.close_connection = True
        self._answer(refused.status, {"error": str(refused)})
        if self.close_connection:
            self._discard()

    def _answer(self, status: int, message: Mapping[str, Any]) -> None:
        body = json.dumps(message, allow_nan=False).encode()
        head = [f"HTTP/1.1 {status} {self.responses[HTTPStatus(status)][0]}"]
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head += ["WWW-Authenticate: Bearer"] * (status == 401) + ["Connection: close"] * self.close_connection
        self.connection.settimeout(self.server.serving.timeout)
        self.connection.sendall("\r\n".join([*head, "", ""]).encode() + body)  # whole within the timeout

    def _discard(self) -> None:
        """Closing with bytes unread would reset the connection, and could take the answer with it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._reader.deadline = min(self._reader.deadline, time.monotonic() + 5)
            left = _DISCARDED
            while left > 0 and (read := len(self.rfile.read1(1 << 16))):
                left -= read

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses, such as a line that is no HTTP."""
        self.close_connection = True
        self._answer(code, {"error": message or self.responses[HTTPStatus(code)][0]})

    def log_message(self, *_: Any, **__: Any) -> None:
        """Requests that were answered are not logged: their number has no bound."""
