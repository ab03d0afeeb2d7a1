"""Discord's side of a webhook on loopback: its rules for embeds, and its answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dovetail.testing import Delivered, webhook_endpoint
from dovetail.testing.webhook import Endpoint, Reply, Request

PATH = "/api/webhooks/123456789012345678/x9Yz8wVutSrqPonMlKjihGfe-d_cba"
_LENGTHS = {"title": 256, "description": 4_096}
_COLOURS = {0x3498DB: "info", 0xF1C40F: "warning", 0xE74C3C: "error"}
_MARKUP = "*_~`|<>[]()"


def answer(request: Request) -> Reply:
    """What Discord says to a request."""
    url = urlsplit(request.path)
    if url.path != PATH:
        return Reply(404, json.dumps({"message": "Unknown Webhook", "code": 10015}))
    if request.method == "GET":
        return Reply(200, json.dumps({"id": "123456789012345678", "token": PATH.rpartition("/")[2]}))
    if not isinstance(request.body, dict) or not (request.body.get("content") or request.body.get("embeds")):
        return Reply(400, json.dumps({"message": "Cannot send an empty message", "code": 50006}))
    problem = next(filter(None, map(_problem, request.body.get("embeds", ()))), None)
    if problem or len(request.body["embeds"]) > 10:
        return Reply(400, json.dumps({"message": "Invalid Form Body", "code": 50035, "errors": problem}))
    return Reply(200, "{}") if parse_qs(url.query).get("wait") == ["true"] else Reply(204)


def _problem(embed: dict[str, Any]) -> str | None:
    fields = embed.get("fields", [])
    parts = [str(embed.get(name, "")) for name in _LENGTHS] + [embed["footer"]["text"]]
    parts += [each[name] for each in fields for name in ("name", "value")]
    if sum(map(len, parts)) > 6_000 or len(fields) > 25:
        return "MAX_EMBED_SIZE_EXCEEDED"
    if any(name in embed and not 1 <= len(embed[name]) <= most for name, most in _LENGTHS.items()):
        return "BASE_TYPE_BAD_LENGTH"
    if any(not 1 <= len(each["name"].strip()) <= 256 or not 1 <= len(each["value"].strip()) <= 1_024 for each in fields):
        return "BASE_TYPE_BAD_LENGTH"
    return None


def read(body: dict[str, Any]) -> Delivered:
    """What a person sees of a message; nobody may be called by it."""
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    fields = {_shown(each["name"]): _shown(each["value"]) for each in embed["fields"]}
    title = _shown(embed.get("title", ""))
    return Delivered(_shown(embed.get("description", "")), title, _COLOURS[embed["color"]], fields, embed.get("url"))


def _shown(text: str) -> str:
    """Discord's Markdown: a backslash lets what is no letter or digit stand for itself; what is markup would vanish."""
    assert not re.search(r"(?m)^\s*([#\-+]|\d+[.)])", text), f"a heading or list: {text!r}"
    bare = re.sub(r"\\([^0-9A-Za-z\s])", lambda match: chr(0xE000 + ord(match[1])), text)
    assert not set(bare) & set(_MARKUP), f"markup: {text!r}"
    return re.sub("[\ue000-\ue0ff]", lambda match: chr(ord(match[0]) - 0xE000), bare)


@pytest.fixture
def discord() -> Iterator[Endpoint]:
    with webhook_endpoint(answer) as endpoint:
        yield endpoint


@pytest.fixture
def webhook_url(discord: Endpoint) -> str:
    return discord.url + PATH


@pytest.fixture
def delivered(discord: Endpoint) -> Callable[[], Sequence[Delivered]]:
    return lambda: [read(request.body) for request in discord.taken if request.method == "POST"]
