"""Asking a deployment over HTTP: directly, past any proxy, and following no redirect."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

from dovetail.errors import DeploymentError


def ask(url: str, path: str, message: Any, token: str, timeout: float) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer; POST where there is a message. Raises OSError where nothing answers in time."""
    import http.client

    place = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = None if message is None else json.dumps(message, allow_nan=False).encode()
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was sent whole; the answer says why
            connection.request("GET" if body is None else "POST", path, body, headers | {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, _object(response.read(), url)
    except http.client.HTTPException as error:
        raise DeploymentError(f"What listens at {url} does not answer as a deployment does: {error!r}.") from error
    finally:
        connection.close()


def _object(body: bytes, url: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise DeploymentError(f"What listens at {url} does not answer as a deployment does: it sent {body[:80]!r}.")
    return answer


def answers(url: str, path: str, timeout: float, **said: str) -> bool:
    """Whether a GET is answered with 200 within so many seconds, by an object that says so where there is something `said`."""
    try:
        status, answer = ask(url, path, None, "", timeout) if said else (_status(url, path, timeout), {})
    except (OSError, DeploymentError):
        return False
    return status == 200 and all(answer.get(key) == value for key, value in said.items())


def _status(url: str, path: str, timeout: float) -> int:
    import http.client

    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except http.client.HTTPException:
        return 0
    finally:
        connection.close()
