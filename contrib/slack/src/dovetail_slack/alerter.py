"""Alerts as Slack's blocks, within the lengths that Slack takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.components import Alert, Level, WebhookAlerter
from dovetail.components.webhook import Answer, cut
from dovetail.values.encoding import Json

_TEXT, _HEADER, _FIELD = 3_000, 150, 2_000  # characters that Slack takes of each
_FIELDS_EACH, _SECTIONS = 10, 4  # fields of a section, and how many such sections are worth reading
_MARKS = {Level.INFO: "\u2139\ufe0f", Level.WARNING: "\u26a0\ufe0f", Level.ERROR: "\u274c"}
_CONTROL = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_IN_LINK = {**_CONTROL, "|": "%7C"}  # a bar would begin the link's words


class SlackAlerter(WebhookAlerter):
    """Posts to one Slack channel by an incoming webhook (https://api.slack.com/messaging/webhooks)."""

    def message(self, alert: Alert) -> Json:
        blocks: list[Json] = [_header(alert.title)] if alert.title.strip() else []
        if alert.text.strip() or not blocks:
            blocks.append({"type": "section", "text": _plain(alert.text, _TEXT)})
        blocks += _tables(alert.fields)
        blocks.append({"type": "context", "elements": [_plain(f"{_MARKS[alert.level]} {alert.level.value}", _FIELD)]})
        if alert.link:
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": _link(alert.link), "verbatim": True}})
        # Shown where blocks are not, as in a notification.
        return {"text": _fitting(": ".join(filter(None, [alert.title, alert.text])), _TEXT), "mrkdwn": False, "blocks": blocks}

    def probe(self) -> Answer | None:
        """A message without text: Slack answers 400 `no_text` where it would have taken one, and otherwise says what is wrong."""
        answer = self.request("POST", {"text": ""})
        return Answer(200) if answer.status == 400 and "no_text" in answer.text else answer


def _header(title: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(" ".join(title.split()), _HEADER)}


def _tables(fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Sections of ten; each field is its name, a line break and its value."""
    items = list(fields.items())
    most = _FIELDS_EACH * _SECTIONS
    if len(items) > most:
        items = [*items[: most - 1], ("…", f"{len(items) - most + 1} more")]
    shown = [_plain(f"{cut(' '.join(name.split()), _FIELD // 4) or '-'}\n{value}", _FIELD) for name, value in items]
    return [{"type": "section", "fields": shown[start : start + _FIELDS_EACH]} for start in range(0, len(shown), _FIELDS_EACH)]


def _link(link: str) -> str:
    url = "".join(_IN_LINK.get(character, character) for character in link)
    return f"<{url}>" if len(url) < _TEXT - 2 else _fitting(link, _TEXT)


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _fitting(text, most), "emoji": False}


def _fitting(text: str, most: int) -> str:
    """The text with Slack's three control characters escaped, cut to what Slack takes; a dash where nothing would be."""
    kept = text if text.strip() else "-"
    room = most
    while len(escaped := "".join(_CONTROL.get(each, each) for each in cut(kept, room))) > most:
        room -= max((len(escaped) - most) // 5, 1)
    return escaped
