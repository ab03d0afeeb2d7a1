"""Connections of uvicorn's, with the limits that it leaves to a proxy in front, which a deployment on its own has not."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.local.serving_endpoint import Endpoint

_HEAD = 1 << 16  # bytes of a request's head
_DISCARDED = 1 << 26  # bytes of a refused request that are still read, so that its sender sees the answer
_POLL = 0.05  # seconds


class Connections:
    """Those to one process of a deployment. `accept` takes new ones from a listener that other processes share."""

    endpoint: Endpoint

    def __init__(self, timeout: float) -> None:
        import uvicorn
        from uvicorn.server import ServerState

        self.timeout = timeout
        self._config = uvicorn.Config(
            self._answer, http="httptools" if find_spec("httptools") is not None else "h11", lifespan="off", ws="none", interface="asgi3", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, date_header=False, timeout_keep_alive=int(timeout) + 1, h11_max_incomplete_event_size=_HEAD,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._open: set[Any] = self._state.connections
        self._made = type("Connection", (_Guarded, self._config.http_protocol_class), {})
        self._server: asyncio.Server | None = None

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.endpoint(scope, receive, send)

    async def accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=listener, backlog=1024)

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self._made(self._config, self._state, {}, timeout=self.timeout)
        return made

    def refuse(self) -> None:
        """Take no more connections."""
        self.endpoint.leaving = True
        if self._server is not None:
            self._server.close()

    async def close(self, linger: float, grace: float) -> bool:
        """Take no more; answer what comes on those that are open, hanging up after each answer. Whether all were answered in time.

        Idle ones are left open for so many seconds: whoever has sent a request by then would lose it.
        """
        self.refuse()
        until = time.monotonic() + linger
        await asyncio.sleep(_POLL)  # one that was accepted just now is counted by then
        while self._open and time.monotonic() < until:  # noqa: ASYNC110  # nobody tells when the last one has gone
            await asyncio.sleep(_POLL)
        until = time.monotonic() + grace
        while self._open and time.monotonic() < until:
            for connection in list(self._open):
                connection.close_if_idle()
            await asyncio.sleep(_POLL)
        return not any(connection.answering for connection in self._open)


class _Guarded:
    """Mixed into uvicorn's protocol: a head that does not come whole in time or is too long ends the connection."""

    app: Any
    cycle: Any
    loop: Any
    transport: Any

    def __init__(self, *given: Any, timeout: float) -> None:
        super().__init__(*given)
        self._application, self.app = self.app, self._answer
        self._timeout = timeout
        self._timer: Any = None
        self._allowed = _HEAD
        self._half_closed = False

    @property
    def answering(self) -> bool:
        """Whether a request's head has come that was not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]  # the protocol that it is mixed into
        self._wait_for_head(_HEAD)

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(error)  # type: ignore[misc]  # the protocol that it is mixed into

    def _wait_for_head(self, allowed: int) -> None:
        self._allowed = allowed
        self._timer = self.loop.call_later(self._timeout, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        self._allowed -= len(data)
        super().data_received(data)  # type: ignore[misc]  # the protocol that it is mixed into
        if self._allowed < 0 and not self.answering:
            self.transport.abort()

    def eof_received(self) -> bool:
        """Whoever has sent all may still wait for the answer."""
        self._half_closed = True
        return self.answering

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self._timer.cancel()
        try:
            await self._application(scope, receive, send)
        finally:
            if not self.transport.is_closing():
                self._wait_for_head(_DISCARDED)
                if self._half_closed:
                    self.transport.close()

    def send_400_response(self, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)
        self.transport.close()

    def close_if_idle(self) -> None:
        if not self.answering and not _has_unread(self.transport):
            self.transport.close()


def _has_unread(transport: Any) -> bool:
    """Whether a request has come that nobody has looked at yet."""
    number = transport.get_extra_info("socket").fileno()
    if number < 0:
        return False
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))
