"""What stands before a service of BentoML: whoever wants more than to know that it is healthy shows the token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
_OPEN = ("/livez", "/readyz", "/healthz")  # BentoML's own
_SENTENCE = "The token is missing or wrong; send the header 'Authorization: Bearer <token>'."


class Guard:
    """`token`: "" lets everybody in. `GET /health` names the deployment, so that no other server is taken for it."""

    def __init__(self, app: App, token: str, deployment: str) -> None:
        self._app = app
        self._token = token.encode()
        self._deployment = deployment

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        kind, path = scope["type"], scope.get("path", "")
        if kind == "http" and path == "/health":
            await _answer(send, 200, {"status": "ok", "deployment": self._deployment})
        elif kind == "lifespan" or (kind == "http" and path in _OPEN) or self._may_pass(scope):
            await self._app(scope, receive, send)
        elif kind == "http":
            await _answer(send, 401, {"error": _SENTENCE})
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": _SENTENCE})

    def _may_pass(self, scope: Message) -> bool:
        if not self._token:
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, shown = given.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(shown.strip(), self._token)


async def _answer(send: Callable[[Message], Awaitable[None]], status: int, message: dict[str, str]) -> None:
    body = json.dumps(message).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
