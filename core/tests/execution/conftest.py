"""An engine that starts each worker as a process that shares nothing with the run's, for tests of what becomes of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

_ENGINE = """
    import os
    from dataclasses import field
    from typing import ClassVar

    from dovetail.components import Capability, ExperimentTracker, Orchestrator, Secret
    from dovetail.ledger import layout
    from dovetail.local.step_operator import LocalStepOperator
    from dovetail.plugin import FlavorSpec, hookimpl

    layout.HEARTBEAT = float(os.environ.get("BEAT", layout.HEARTBEAT))


    class Engine(Orchestrator):
        capabilities: ClassVar = LocalStepOperator.capabilities | {Capability.MAP, Capability.CONDITIONS}
        variables: dict[str, str] = field(default_factory=dict)

        def __post_init__(self):
            self._operator = LocalStepOperator(variables=self.variables)

        def shares_folders(self):
            return True

        def submit(self, plan, run):
            run.drive(lambda task: task.run_by(self.start), slots=4)

        def start(self, job):
            return self._operator.start(job)


    class Keyed(ExperimentTracker):
        key: Secret
        endpoint: str = ""

        def start(self, step_run):
            assert self.key.reveal() == self.endpoint.partition("//")[2].partition("@")[0]

        def log_params(self, params): ...
        def log_metrics(self, metrics, step): ...
        def finish(self, step_run): ...


    @hookimpl
    def dovetail_orchestrators():
        return [FlavorSpec("engine", "engine:Engine")]


    @hookimpl
    def dovetail_experiment_trackers():
        return [FlavorSpec("keyed", "engine:Keyed")]
"""


class Engine:
    """`place`: a folder by whose files steps and tests speak with each other; steps know it as the variable PLACE."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def until(self, name: str, seconds: float = 60) -> str:
        """The text of a file of the place, once it is there and has one."""
        file = self.place / name
        until(lambda: file.exists() and file.read_text(), seconds, f"{name} did not appear in {sorted(p.name for p in self.place.iterdir())}")
        return file.read_text()

    def pid(self, name: str = "pid") -> int:
        return int(self.until(name))

    def alive(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except FileNotFoundError:
            return False

    def let(self, name: str) -> None:
        (self.place / name).write_text("yes")


def until(condition: Callable[[], Any], seconds: float = 60, said: str = "it did not come about") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, said
        time.sleep(0.02)


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., None]:
    return until


@pytest.fixture
def elsewhere(
    install_plugin: Callable[[str, str], Path], apply_stack: Callable[..., None], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> Engine:
    """The stack `elsewhere`, active: every step runs in a process that shares nothing with the run's, and beats each second."""
    site = install_plugin("engine", _ENGINE)
    place = isolated / "place"
    place.mkdir()
    measuring: Mapping[str, str] = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    variables = {**measuring, "PYTHONPATH": str(site), "PLACE": str(place), "BEAT": "1"}
    apply_stack("elsewhere", orchestrator=("engine", "engine", {"variables": variables}))
    apply_stack("operated", step_operator=("local", "apart", {"variables": variables}))
    monkeypatch.setenv("DOVETAIL_STACK", "elsewhere")
    yield Engine(place)
    sys.modules.pop("engine", None)
