"""The plugin keeps the contracts."""

from __future__ import annotations

import pytest
from dovetail.testing import DataValidatorContract, PluginContract
from dovetail_whylogs.validator import WhylogsValidator


class TestWhylogsValidator(DataValidatorContract):
    @pytest.fixture
    def validator(self) -> WhylogsValidator:
        return WhylogsValidator()


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_whylogs"
