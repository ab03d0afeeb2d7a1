"""The plugin keeps the contracts."""

from __future__ import annotations

import pytest
from dovetail.testing import DataValidatorContract, PluginContract
from dovetail_pandera.validator import PanderaValidator


class TestPanderaValidator(DataValidatorContract):
    @pytest.fixture
    def validator(self) -> PanderaValidator:
        return PanderaValidator()


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_pandera"
