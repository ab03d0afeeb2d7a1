"""The plugin keeps the contracts, against Slack's rules on loopback."""

from __future__ import annotations

import pytest
from dovetail.components import Secret
from dovetail.testing import AlerterContract, PluginContract
from dovetail_slack.alerter import SlackAlerter


class TestSlackAlerter(AlerterContract):
    @pytest.fixture
    def alerter(self, webhook_url: str) -> SlackAlerter:
        return SlackAlerter(webhook_url=Secret(webhook_url))


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_slack"
