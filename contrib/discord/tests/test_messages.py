"""What is particular to Discord: its embeds, its Markdown, its address."""

from __future__ import annotations

from typing import Any

import pytest
from dovetail.components import Alert, Level, Secret
from dovetail.errors import AlertError
from dovetail.testing.webhook import Endpoint
from dovetail_discord.alerter import DiscordAlerter


@pytest.fixture
def discord_alerter(webhook_url: str) -> DiscordAlerter:
    return DiscordAlerter(webhook_url=Secret(webhook_url))


def embed_of(discord_alerter: DiscordAlerter, discord: Endpoint, alert: Alert) -> dict[str, Any]:
    discord_alerter.send(alert)
    (embed,) = discord.taken[-1].body["embeds"]
    return embed


def test_what_the_address_says_of_threads_is_kept(discord: Endpoint, webhook_url: str) -> None:
    DiscordAlerter(webhook_url=Secret(f"{webhook_url}?thread_id=42")).post("the text")
    assert discord.taken[-1].path.partition("?")[2] == "thread_id=42&wait=true"


def test_a_level_is_a_colour_and_a_word(discord_alerter: DiscordAlerter, discord: Endpoint) -> None:
    embeds = [embed_of(discord_alerter, discord, Alert("the text", level=level)) for level in Level]
    assert len({embed["color"] for embed in embeds}) == 3
    assert [embed["footer"]["text"] for embed in embeds] == ["info", "warning", "error"]


def test_a_link_is_that_of_the_title(discord_alerter: DiscordAlerter, discord: Endpoint) -> None:
    embed = embed_of(discord_alerter, discord, Alert("the text", title="Title", link="https://example.org/"))
    assert (embed["title"], embed["url"]) == ("Title", "https://example.org/")


def test_a_link_that_is_too_long_for_a_title_is_a_field(discord_alerter: DiscordAlerter, discord: Endpoint) -> None:
    embed = embed_of(discord_alerter, discord, Alert("the text", link="https://example.org/" + "x" * 3_000))
    assert embed["fields"][0]["name"] == "link"
    assert "url" not in embed


def test_fields_fill_the_room_that_the_text_leaves(discord_alerter: DiscordAlerter, discord: Endpoint) -> None:
    embed = embed_of(discord_alerter, discord, Alert("t" * 4_000, fields={str(number): "v" * 500 for number in range(20)}))
    assert embed["fields"][-1] == {"name": "…", "value": "17 more", "inline": False}


def test_what_discord_answers_is_told_without_the_address(webhook_url: str) -> None:
    with pytest.raises(AlertError, match=r'answered 404 \({"message": "Unknown Webhook", "code": 10015}\)') as caught:
        DiscordAlerter(webhook_url=Secret(webhook_url + "gone")).post("the text")
    assert webhook_url.rpartition("/")[2] not in str(caught.value)
