"""A run that is handed to an engine with an order of its own is the run that it is anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovetail.testing import GraphOrchestratorContract


class TestGraphEngine(GraphOrchestratorContract):
    @pytest.fixture
    def orchestrator(self, graph_engine: Any, variables: dict[str, str], tmp_path: Path) -> Any:
        return graph_engine.GraphEngine(folder=tmp_path / "graphs", variables=variables)
