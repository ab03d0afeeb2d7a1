"""What one step may ask for is what the engine's machine has."""

from __future__ import annotations

from pathlib import Path

from dovetail_docker.orchestrator import DockerOrchestrator
from dovetail_docker.testing import DockerEngine


def test_the_engine_says_what_one_step_may_ask_for(engine: DockerEngine) -> None:
    said = engine.client().info()
    capacity = DockerOrchestrator(host=engine.host).capacity()
    assert capacity is not None
    assert (capacity.cpu, capacity.memory, capacity.gpu) == (said["NCPU"], said["MemTotal"], None)


def test_an_engine_that_is_away_limits_nothing(tmp_path: Path) -> None:
    assert DockerOrchestrator(host=f"unix://{tmp_path}/docker.sock").capacity() is None
