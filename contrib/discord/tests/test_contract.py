"""The plugin keeps the contracts, against Discord's rules on loopback."""

from __future__ import annotations

import pytest
from dovetail.components import Secret
from dovetail.testing import AlerterContract, PluginContract
from dovetail_discord.alerter import DiscordAlerter


class TestDiscordAlerter(AlerterContract):
    @pytest.fixture
    def alerter(self, webhook_url: str) -> DiscordAlerter:
        return DiscordAlerter(webhook_url=Secret(webhook_url))


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_discord"
