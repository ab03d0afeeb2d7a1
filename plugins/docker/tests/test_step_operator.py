"""The Docker step operator on a real engine keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail.testing import StepOperatorContract
from dovetail_docker.step_operator import DockerStepOperator


class TestDockerStepOperator(StepOperatorContract):
    @pytest.fixture
    def operator(self, mounted: dict[str, Any]) -> DockerStepOperator:
        return DockerStepOperator(**mounted)
