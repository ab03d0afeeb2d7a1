"""The plugin declares its flavors as every plugin does."""

from __future__ import annotations

import pytest

from dovetail.testing import PluginContract


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_gcp"
