"""The built-in step operator keeps the contract."""

from __future__ import annotations

import pytest

from dovetail.local.step_operator import LocalStepOperator
from dovetail.testing import StepOperatorContract


class TestLocalStepOperator(StepOperatorContract):
    @pytest.fixture
    def operator(self) -> LocalStepOperator:
        return LocalStepOperator()
