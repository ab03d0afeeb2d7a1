"""The plugin keeps the contracts."""

from __future__ import annotations

import pytest
from dovetail.testing import DataValidatorContract, PluginContract
from dovetail_deepchecks.validator import DeepchecksValidator


class TestDeepchecksValidator(DataValidatorContract):
    @pytest.fixture
    def validator(self) -> DeepchecksValidator:
        return DeepchecksValidator()


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_deepchecks"
