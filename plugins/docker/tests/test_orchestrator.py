"""The Docker orchestrator on a real engine keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail.testing import OrchestratorContract
from dovetail_docker.orchestrator import DockerOrchestrator


class TestDockerOrchestrator(OrchestratorContract):
    @pytest.fixture
    def orchestrator(self, mounted: dict[str, Any]) -> DockerOrchestrator:
        return DockerOrchestrator(**mounted, workers=4)
