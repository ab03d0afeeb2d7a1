"""Asking an MLflow server over plain HTTP: quick to answer and to give up, where MLflow's own client waits for minutes."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail_mlflow.connection import MlflowConnection

_PATIENCE = 8.0  # seconds; a busy server takes some to answer its first request
_API = "/api/2.0/mlflow"


class Refused(Exception):
    """The server answered with an error; `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def ask(connection: MlflowConnection, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """What the REST API answers. Raises Refused, and OSError where nothing answers in time."""
    request = urllib.request.Request(  # noqa: S310  # the address is http or https
        f"{connection.uri}{_API}{path}", json.dumps(message).encode(), {"Content-Type": "application/json", **_authorization(connection)}
    )
    opener = urllib.request.build_opener(_Straight, urllib.request.HTTPSHandler(context=_tls(connection)))
    try:
        with opener.open(request, timeout=_PATIENCE) as response:
            answer: dict[str, Any] = json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error.code, error.read(400).decode("utf-8", "replace").strip()) from None
    except ValueError as error:
        raise Refused(200, f"it sent no JSON: {error}") from None
    return answer


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: credentials are for the address that was configured."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _authorization(connection: MlflowConnection) -> dict[str, str]:
    if connection.username and connection.password:
        pair = f"{connection.username.reveal()}:{connection.password.reveal()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {"Authorization": f"Bearer {connection.token.reveal()}"} if connection.token else {}


def _tls(connection: MlflowConnection) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(connection.server_certificate) if connection.server_certificate else None)
    if connection.insecure_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def problems(connection: MlflowConnection) -> list[str]:
    """What keeps the connection from being used; one sentence with its cure, or nothing."""
    what = f"{connection.component_type.replace('_', ' ').capitalize()} '{connection.name}'"
    if bool(connection.username) != bool(connection.password):
        return [f"{what} has a {'username' if connection.username else 'password'} alone. Set both `username` and `password`, or neither."]
    if connection.is_server:
        return _server_problems(connection, what)
    return _folder_problems(connection, what) if connection.tracking_uri is None else _store_problems(connection, what)


def _server_problems(connection: MlflowConnection, what: str) -> list[str]:
    try:
        answer = ask(connection, "/experiments/search", {"max_results": 1})
    except Refused as refused:
        return [_told(connection, what, refused)]
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        cure = "Start the server (mlflow server --host … --port …), or correct `tracking_uri`."
        return [f"{what} cannot reach MLflow at {connection.uri}: {reason}. {cure}"]
    if "experiments" in answer or answer == {}:
        return []
    return [f"{what} reaches {connection.uri}, and what answers there is no MLflow server. Correct `tracking_uri`."]


def _told(connection: MlflowConnection, what: str, refused: Refused) -> str:
    if refused.status in (401, 403):
        given = "the credentials given" if connection.username or connection.token else "a caller without credentials"
        return f"{what} is refused by MLflow at {connection.uri} ({refused.status}): it does not take {given}. Set `username` and `password`, or `token`."
    seen = refused.args[0].splitlines()[0][:120] if refused.args[0] else "no text"
    return f"{what} reaches {connection.uri}, which does not answer as an MLflow server ({refused.status}: {seen}). Correct `tracking_uri`."


def _folder_problems(connection: MlflowConnection, what: str) -> list[str]:
    folder = Path(connection.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        canary = folder / ".canary"
        canary.write_bytes(b"")
        canary.unlink()
    except OSError as error:
        return [f"{what} cannot write to {folder}: {error.strerror}. Choose another `folder`, or set `tracking_uri`."]
    return []


def _store_problems(connection: MlflowConnection, what: str) -> list[str]:
    try:
        with connection.reached() as client:
            client.search_experiments(max_results=1)
    except Exception as error:  # whatever the store's driver raises
        first = str(error).splitlines()[0] if str(error) else ""
        return [f"{what} cannot use {connection.uri.partition('://')[0]}://…: {type(error).__name__}: {first}. Correct `tracking_uri`."]
    return []
