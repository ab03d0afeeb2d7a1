"""What the plugin declares is there, documented and cheap."""

from __future__ import annotations

import pytest

from dovetail.testing import PluginContract


class TestBentoMLPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_bentoml"
