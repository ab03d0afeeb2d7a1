"""Slack's side of an incoming webhook on loopback: its rules for blocks, and its answers."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from dovetail.testing import Delivered, webhook_endpoint
from dovetail.testing.webhook import Endpoint, Reply, Request

PATH = "/services/T0123ABCD/B0456EFGH/x9Yz8wVutSrqPonMlKjihGfe"
_LENGTHS = {"section": 3_000, "header": 150, "context": 3_000, "fields": 2_000}


def answer(request: Request) -> Reply:
    """What Slack says to a request."""
    if request.path != PATH:
        return Reply(404, "no_service")
    if request.method != "POST" or not isinstance(request.body, dict):
        return Reply(400, "invalid_payload")
    if not request.body.get("blocks") and not request.body.get("text"):
        return Reply(400, "no_text")
    problem = _problem(request.body)
    return Reply(400, problem) if problem else Reply(200, "ok")


def _problem(body: dict[str, Any]) -> str | None:
    blocks = body.get("blocks", [])
    if len(blocks) > 50 or len(body.get("text", "")) > 40_000:
        return "msg_too_long"
    for block in blocks:
        kind = block["type"]
        texts = [(block["text"], _LENGTHS[kind])] if "text" in block else []
        texts += [(each, _LENGTHS["fields"]) for each in block.get("fields", ())] + [(each, 3_000) for each in block.get("elements", ())]
        if not texts or len(block.get("fields", ())) > 10 or len(block.get("elements", ())) > 10:
            return "invalid_blocks"
        if any(not 1 <= len(text["text"]) <= most for text, most in texts) or any(text["type"] not in ("plain_text", "mrkdwn") for text, _ in texts):
            return "invalid_blocks"
        if kind == "header" and block["text"]["type"] != "plain_text":
            return "invalid_blocks"
    return None


def read(body: dict[str, Any]) -> Delivered:
    """What a person sees of a message."""
    text = title = ""
    level = link = None
    fields: dict[str, str] = {}
    for block in body["blocks"]:
        if block["type"] == "header":
            title = _shown(block["text"])
        elif block["type"] == "context":
            level = _shown(block["elements"][0]).split()[-1]
        elif "fields" in block:
            for each in block["fields"]:
                name, _, value = _shown(each).partition("\n")
                fields[name] = value
        elif block["text"]["type"] == "mrkdwn":
            link = html.unescape(block["text"]["text"][1:-1])
        else:
            text = _shown(block["text"])
    return Delivered(text, title, level, fields, link)


def _shown(text: dict[str, Any]) -> str:
    """Slack takes `<…>` for its own, also in plain text; whatever else a sender means has to be escaped."""
    assert "<" not in text["text"] and ">" not in text["text"], text
    assert json.loads(json.dumps(text)) == text
    return html.unescape(text["text"])


@pytest.fixture
def slack() -> Iterator[Endpoint]:
    with webhook_endpoint(answer) as endpoint:
        yield endpoint


@pytest.fixture
def webhook_url(slack: Endpoint) -> str:
    return slack.url + PATH


@pytest.fixture
def delivered(slack: Endpoint) -> Callable[[], Sequence[Delivered]]:
    return lambda: [read(request.body) for request in slack.taken]
