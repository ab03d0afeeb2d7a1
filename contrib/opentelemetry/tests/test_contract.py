"""The plugin keeps the contract of all plugins."""

from __future__ import annotations

import pytest
from dovetail.testing import PluginContract


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_opentelemetry"
