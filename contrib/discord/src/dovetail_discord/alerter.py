"""Alerts as Discord's embeds, within the lengths that Discord takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from dovetail.components import Alert, Level, WebhookAlerter
from dovetail.components.webhook import Answer, cut
from dovetail.values.encoding import Json

_TITLE, _TEXT, _NAME, _VALUE = 256, 4_096, 256, 1_024  # characters that Discord takes of each part of an embed
_FIELDS, _ALL = 25, 6_000  # fields of an embed, and characters of all its parts
_LINK = 2_048
_COLOURS = {Level.INFO: 0x3498DB, Level.WARNING: 0xF1C40F, Level.ERROR: 0xE74C3C}
_MARKUP = re.compile(r"([\\*_~`|<>\[\]()])")
_AT_LINE_START = re.compile(r"^(\s*)([#\-+])", re.MULTILINE)
_NUMBERED = re.compile(r"^(\s*\d+)([.)])", re.MULTILINE)


class DiscordAlerter(WebhookAlerter):
    """Posts to one Discord channel by a webhook (channel settings, Integrations, Webhooks)."""

    def address(self) -> str:
        """With `wait=true`, so that Discord answers once the message stands in the channel and not before."""
        url = super().address()
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), "wait": "true"})).geturl()

    def message(self, alert: Alert) -> Json:
        embed: dict[str, Any] = {"color": _COLOURS[alert.level], "footer": {"text": alert.level.value}}
        if alert.title.strip():
            embed["title"] = _fitting(" ".join(alert.title.split()), _TITLE)
        if alert.text.strip() or not alert.title.strip():
            embed["description"] = _fitting(alert.text, _TEXT)
        fields = dict(alert.fields)
        if alert.link and len(alert.link) <= _LINK:
            embed |= {"url": alert.link, "title": embed.get("title", "Link")}
        elif alert.link:
            fields = {"link": alert.link, **fields}
        left = _ALL - sum(len(str(embed.get(part, ""))) for part in ("title", "description")) - len(alert.level.value)
        embed["fields"] = _fields(fields, left)
        return {"embeds": [embed], "allowed_mentions": {"parse": []}}

    def probe(self) -> Answer:
        """Asking for the webhook itself says nothing in its channel."""
        return self.request("GET")


def _fields(fields: Mapping[str, str], room: int) -> list[dict[str, Any]]:
    """As many as there is room for; the last then says how many are left out."""
    shown: list[dict[str, Any]] = []
    for number, (name, value) in enumerate(fields.items()):
        made = {"name": _fitting(name, _NAME), "value": _fitting(value, _VALUE), "inline": len(value) <= 40}
        rest = {"name": "…", "value": f"{len(fields) - number} more", "inline": False}
        is_last = number == len(fields) - 1
        room -= _length(made)
        if room < (0 if is_last else _length(rest)) or (len(shown) == _FIELDS - 1 and not is_last):
            return [*shown, rest] if room + _length(made) >= _length(rest) else shown
        shown.append(made)
    return shown


def _length(field: Mapping[str, Any]) -> int:
    return len(field["name"]) + len(field["value"])


def _fitting(text: str, most: int) -> str:
    """The text with Discord's markup escaped, cut to what Discord takes; a dash where nothing would be."""
    kept = text if text.strip() else "-"
    room = most
    while len(escaped := _escaped(cut(kept, room))) > most:
        room -= max((len(escaped) - most) // 2, 1)
    return escaped


def _escaped(text: str) -> str:
    return _NUMBERED.sub(r"\1\\\2", _AT_LINE_START.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", text)))
