"""What is asked of a W&B server before a run: whether it is there, and whose key this is."""

from __future__ import annotations

import base64
import http.client
import json
import netrc
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 10
_QUERY = "query Viewer { viewer { id entity username } }"


def problem(base_url: str | None, key: str | None) -> str | None:
    """A sentence saying why runs cannot be sent there, or None."""
    url = address(base_url)
    if key is None:
        return f"There is no API key for {url}. Set `api_key`, or WANDB_API_KEY, or say `wandb login`; `mode: offline` needs none."
    try:
        viewer = _viewer(url, key)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return f"{url} refuses the API key ({error.code}). Copy the key from {app_url(base_url)}/authorize into `api_key`."
        return f"{url} answers {error.code} {error.reason}. Check `base_url`."
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return f"{url} cannot be reached: {reason}. Check `base_url` and the network, or set `mode: offline`."
    if viewer is None:
        return f"{url} does not know the API key. Copy the key from {app_url(base_url)}/authorize into `api_key`."
    return None


def default_entity(base_url: str | None, key: str | None) -> str | None:
    """Whose runs they are when nobody says; None where the server does not tell."""
    try:
        viewer = _viewer(address(base_url), key or "") or {}
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return viewer.get("entity") or viewer.get("username")


def _viewer(url: str, key: str) -> dict[str, Any] | None:
    login = base64.b64encode(f"api:{key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}", "User-Agent": "dovetail-wandb"}
    request = urllib.request.Request(f"{url}/graphql", json.dumps({"query": _QUERY}).encode(), headers)  # noqa: S310  # the user's own server
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        said = json.load(answer)
    data = said.get("data") if isinstance(said, dict) else None
    if not isinstance(data, dict):
        raise ValueError("it does not answer as a W&B server")  # noqa: TRY004  # what came over the wire has no type to speak of
    viewer = data.get("viewer")
    return viewer if isinstance(viewer, dict) else None


def address(base_url: str | None) -> str:
    if base_url is not None:
        return base_url.rstrip("/")
    import wandb

    return str(wandb.Settings.model_fields["base_url"].default).rstrip("/")


def app_url(base_url: str | None) -> str:
    """Where people look; a server of one's own has one address for both."""
    import wandb

    return str(wandb.util.api_to_app_url(address(base_url))).rstrip("/")


def key_of_this_machine(base_url: str | None) -> str | None:
    """What `WANDB_API_KEY` says, else what `wandb login` left."""
    if key := os.environ.get("WANDB_API_KEY"):
        return key
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(address(base_url)).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None
