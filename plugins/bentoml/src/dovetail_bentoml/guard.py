"""What stands before a service of BentoML: whoever wants more than to know that it is healthy shows the token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/livez", "/readyz", "/healthz")  # BentoML's own
_FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")  # in which BentoML would look for the fields; curl says so of any body
_SENTENCE = "The token is missing or wrong; send the header 'Authorization: Bearer <token>'."


class Guard:
    """`token`: "" lets everybody in. `absent`: paths of methods that this model has not. `most`: the bytes of a request that are read. `GET /health` names the deployment, so that no other server is taken for it."""

    def __init__(self, app: App, token: str, deployment: str, most: int, absent: Collection[str] = ()) -> None:
        self._app = app
        self._absent = absent
        self._most = most
        self._token = token.encode()
        self._deployment = deployment

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind, path = scope["type"], scope.get("path", "")
        if kind == "http" and path == "/health":
            await _answer(send, 200, {"status": "ok", "deployment": self._deployment})
        elif kind == "lifespan" or (kind == "http" and path in _OPEN):
            await self._app(scope, receive, send)
        elif self._may_pass(scope):
            await self._passed(scope, receive, send)
        elif kind == "http":
            await _answer(send, 401, {"error": _SENTENCE})
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": _SENTENCE})

    async def _passed(self, scope: Message, receive: Receive, send: Send) -> None:
        length = _header(scope, b"content-length")
        if scope["path"] in self._absent:
            await _answer(send, 404, {"error": f"The model has no {scope['path'][1:]}; ask it for predict."})
        elif _header(scope, b"content-type").partition(b";")[0].strip().lower() in _FORMS:
            await _answer(send, 415, {"error": "The request says that it is a form; send it as JSON with the header 'Content-Type: application/json'."})
        elif (length.isdigit() and int(length[:18]) <= self._most) or (not length and scope.get("method") in _WITHOUT_BODY):
            await self._app(scope, receive, send)
        elif length:
            await _answer(send, 413, {"error": f"The request has more than the {self._most} bytes that are read; send fewer rows."})
        else:
            await _answer(send, 411, {"error": "The request must say its Content-Length."})

    def _may_pass(self, scope: Message) -> bool:
        if not self._token:
            return True
        scheme, _, shown = _header(scope, b"authorization").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(shown.strip(), self._token)


def _header(scope: Message, wanted: bytes) -> bytes:
    found: bytes = next((value for name, value in scope["headers"] if name == wanted), b"")
    return found


async def _answer(send: Send, status: int, message: dict[str, str]) -> None:
    body = json.dumps(message).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
