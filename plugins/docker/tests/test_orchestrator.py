"""The Docker orchestrator on a real engine: what every orchestrator keeps, and what the engine is really told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import dovetail
from dovetail.testing import OrchestratorContract
from dovetail_docker import orchestrator, step_operator
from dovetail_docker.testing import DockerEngine


@pytest.fixture(scope="session")
def configuration(engine: DockerEngine, python_image: str) -> dict[str, Any]:
    """An image of this Python, with this environment and these sources mounted into it: nothing is built."""
    sources = {Path(module.__file__ or "").resolve().parents[1] for module in (dovetail, orchestrator)}
    mounted = [f"{folder}:{folder}:ro" for folder in sorted({sys.prefix, *map(str, sources)})]
    return {"host": engine.host, "image": python_image, "python": f"{sys.prefix}/bin/python", "network": "host", "volumes": mounted, "workers": 4}


class TestDockerOrchestrator(OrchestratorContract):
    @pytest.fixture
    def orchestrator(self, configuration: dict[str, Any]) -> orchestrator.DockerOrchestrator:
        return orchestrator.DockerOrchestrator(**configuration)


