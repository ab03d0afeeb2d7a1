"""The plugin keeps the contracts."""

from __future__ import annotations

import pytest
from dovetail.testing import DataValidatorContract, PluginContract
from dovetail_great_expectations.validator import GreatExpectationsValidator


class TestGreatExpectationsValidator(DataValidatorContract):
    @pytest.fixture
    def validator(self) -> GreatExpectationsValidator:
        return GreatExpectationsValidator()


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_great_expectations"
