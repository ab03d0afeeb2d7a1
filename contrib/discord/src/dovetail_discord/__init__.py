"""Declares the alerter flavor `discord`."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_alerters() -> Sequence[FlavorSpec]:
    return [FlavorSpec("discord", "dovetail_discord.alerter:DiscordAlerter", help="Posts to a Discord channel by a webhook.")]
