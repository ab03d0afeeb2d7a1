"""The built-in plugin keeps the contract that a stranger's does."""

from __future__ import annotations

import pytest

from dovetail.testing import PluginContract


class TestLocalPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail.local"
