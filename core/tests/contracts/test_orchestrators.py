"""The built-in orchestrator keeps the contract, with threads and with a process for every step."""

from __future__ import annotations

import pytest

from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing import OrchestratorContract


class TestLocalOrchestrator(OrchestratorContract):
    @pytest.fixture
    def orchestrator(self) -> LocalOrchestrator:
        return LocalOrchestrator(workers=4, cpu=2.0)


class TestLocalOrchestratorWithProcesses(OrchestratorContract):
    @pytest.fixture
    def orchestrator(self) -> LocalOrchestrator:
        return LocalOrchestrator(workers=2, cpu=2.0, processes=True)
