"""How a request to Blob storage shows who asks: signed with the account's key, or by a token; a shared access signature is part of its address."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_SIGNED = (
    "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date", "If-Modified-Since", "If-Match",
    "If-None-Match", "If-Unmodified-Since", "Range",
)  # fmt: skip


class SharedKey:
    """What `requests` calls with each request before it goes out. Raises ValueError for a key that is no Base64."""

    def __init__(self, account: str, key: str) -> None:
        self._account = account
        self._key = base64.b64decode(key, validate=True)

    def __call__(self, request: Any) -> Any:
        request.headers["x-ms-date"] = formatdate(usegmt=True)
        digest = hmac.new(self._key, string_to_sign(request.method, request.url, request.headers, self._account).encode(), hashlib.sha256).digest()
        request.headers["Authorization"] = f"SharedKey {self._account}:{base64.b64encode(digest).decode()}"
        return request


class Bearer:
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request


class Unsigned:
    """Its address says it all. Without this `requests` would look for a password in ~/.netrc."""

    def __call__(self, request: Any) -> Any:
        return request


def string_to_sign(method: str, url: str, headers: Any, account: str) -> str:
    parts = urlsplit(url)
    plain = ["" if name == "Content-Length" and headers.get(name) == "0" else str(headers.get(name) or "") for name in _SIGNED]
    own = sorted((name.lower(), str(value).strip()) for name, value in headers.items() if name.lower().startswith("x-ms-"))
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name.lower(), []).append(value)
    resource = f"/{account}{parts.path}" + "".join(f"\n{name}:{','.join(sorted(query[name]))}" for name in sorted(query))
    return "\n".join([method, *plain, *(f"{name}:{value}" for name, value in own), resource])
