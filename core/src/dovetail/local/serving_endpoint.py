"""The endpoint: `GET /health`, and `POST /predict` with `Authorization: Bearer …`, as a bare ASGI application."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from dovetail.components.serving.children import say
from dovetail.local.serving import Refused, Serving, answer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_AT_ONCE = 64  # requests that the model answers at once; more wait their turn
_PATIENCE = 0.01  # seconds that a request waits before there is another thread
_QUICK = 0.01  # seconds
_QUICK_CALLS = 32  # answers as quick as that, one after the other, after which the model is taken for quick, until it is not
_SMALL = 1 << 17  # bytes of a request that is answered where it was read
_MINUTE = 60.0  # seconds
_TOLD = 100  # refused requests of a minute that have a line in the log
_IDLE = 5.0  # seconds after which a thread with nothing to do ends, but for the last
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_PATHS = "there are GET /health and POST /predict."


class _Gone(Exception):
    """Whoever asked has hung up."""


class Endpoint:
    """`leaving`: it answers what it is asked, and hangs up after each answer. A model that takes its time works in threads, so that it always answers."""

    def __init__(self, serving: Serving, token: str, model: Any) -> None:
        self.serving, self.model = serving, model
        self.leaving = False
        self._token = token.encode()
        self._threads = Threads(_AT_ONCE)
        self._refusals = Refusals()
        self._in_a_row = 0  # quick answers
        self._health = json.dumps({"status": "ok", "deployment": serving.id}).encode()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            status, body = await self._answered(scope, receive)
        except Refused as refused:
            self._refusals.tell(f"{scope['method']} {scope['path'][:80]!r}: {refused.status} {str(refused)!r}")
            status, body = refused.status, json.dumps({"error": str(refused)}).encode()
        except _Gone:
            return
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status == 401:
            head.append((b"www-authenticate", b"Bearer"))
        if self.leaving or status == 408:
            head.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, scope: Mapping[str, Any], receive: Receive) -> tuple[int, bytes]:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == "/predict":
            headers = dict(scope["headers"])
            self._check_token(headers.get(b"authorization", b""))
            body = await self._body(headers.get(b"content-length", b""), receive)
            if self._in_a_row >= _QUICK_CALLS and len(body) <= _SMALL:
                return 200, self._here(body)
            return 200, await self._threads.call(self._timed, body)
        if method == "GET" and path == "/health":
            return 200, self._health
        raise Refused(404 if method in ("GET", "POST") else 501, f"There is no {method} {path[:80]}; {_PATHS}")

    def _check_token(self, given: bytes) -> None:
        scheme, _, token = given.partition(b" ")
        right = scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
        if self.serving.require_token and not right:
            raise Refused(401, "The token is missing or wrong; send the header 'Authorization: Bearer <token>'.")

    async def _body(self, length: bytes, receive: Receive) -> bytes:
        limit = self.serving.max_request_bytes
        if length and int(length) > limit:
            raise _too_long(int(length), limit)
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            assert task is not None
            task.cancel()

        task = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(self.serving.timeout, give_up)
        try:
            return await _received(receive, limit)
        except asyncio.CancelledError:
            if not late:
                raise
            raise Refused(408, f"The request was not whole within {self.serving.timeout:g} seconds.") from None
        finally:
            timer.cancel()

    def _here(self, body: bytes) -> bytes:
        """A model that is quick is asked where the request was read: to hand it to a thread and back costs as much as such a model does."""
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # a model may run a loop of its own
        try:
            return self._timed(body)
        finally:
            asyncio._set_running_loop(loop)

    def _timed(self, body: bytes) -> bytes:
        began = time.perf_counter()
        try:
            return self._predict(body)
        finally:
            self._in_a_row = self._in_a_row + 1 if time.perf_counter() - began < _QUICK else 0

    def _predict(self, body: bytes) -> bytes:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"The request is not JSON: {error}.") from error
        if not isinstance(message, dict) or ("instances" in message) == ("columns" in message):
            raise Refused(400, 'The request must be {"instances": [row, …]} or {"columns": {"name": [value, …]}}.')
        plain = b'"$"' not in body and b"\\u" not in body  # nothing in it is marked, not even by an escape
        return _encode(answer(self.model, message, plain=plain)).encode()


class Refusals:
    """Refused requests in the log: some in each minute, and then how many more there were, so that whoever reaches the port cannot fill the disk."""

    def __init__(self) -> None:
        self._since, self._count = 0.0, 0

    def tell(self, line: str) -> None:
        now = time.monotonic()
        if now - self._since >= _MINUTE:
            if self._count > _TOLD:
                say(f"{self._count - _TOLD} more requests were refused within a minute")
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= _TOLD:
            say(line)


@dataclass(slots=True)
class _Call:
    future: asyncio.Future[Any]
    function: Callable[[Any], Any]
    given: Any
    since: float
    taken: bool = False


class Threads:
    """One thread for what is quick, and more, up to `most`, where a call has to wait: threads that all have work hinder one another."""

    def __init__(self, most: int) -> None:
        self._most, self._threads = most, 0
        self._counting = threading.Lock()
        self._waiting: SimpleQueue[_Call] = SimpleQueue()
        self._asked: deque[_Call] = deque()

    async def call(self, function: Callable[[Any], Any], given: Any) -> Any:
        loop = asyncio.get_running_loop()
        call = _Call(loop.create_future(), function, given, loop.time())
        if not self._asked:
            loop.call_later(_PATIENCE, self._look, loop)
        self._asked.append(call)
        self._waiting.put(call)
        if not self._threads:
            self._start()
        return await call.future

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start another thread where a call has waited for too long."""
        while self._asked and self._asked[0].taken:
            self._asked.popleft()
        if self._asked:
            if loop.time() - self._asked[0].since >= _PATIENCE and self._threads < self._most:
                self._start()
            loop.call_later(_PATIENCE, self._look, loop)

    def _start(self) -> None:
        with self._counting:
            self._threads += 1
        threading.Thread(target=self._work, name="predict", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                call = self._waiting.get(timeout=_IDLE)
            except Empty:
                with self._counting:
                    if self._threads > 1:
                        self._threads -= 1
                        return
                continue
            call.taken = True
            try:
                value, error = call.function(call.given), None
            except BaseException as raised:
                value, error = None, raised
            call.future.get_loop().call_soon_threadsafe(_settle, call.future, value, error)


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return  # whoever asked has hung up
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


async def _received(receive: Receive, limit: int) -> bytes:
    message = await receive()
    parts, size = [], 0
    while True:
        if message["type"] != "http.request":
            raise _Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_long(size, limit)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        message = await receive()


def _too_long(size: int, limit: int) -> Refused:
    return Refused(413, f"The request has {size} bytes, more than the {limit} that are read; send fewer rows.")
