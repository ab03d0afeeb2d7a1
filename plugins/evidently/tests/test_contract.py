"""Evidently keeps the contract of data validators."""

from __future__ import annotations

import pytest
from dovetail.testing import DataValidatorContract, PluginContract

from dovetail_evidently.validator import EvidentlyValidator


class TestEvidently(DataValidatorContract):
    @pytest.fixture
    def validator(self) -> EvidentlyValidator:
        return EvidentlyValidator()


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_evidently"
