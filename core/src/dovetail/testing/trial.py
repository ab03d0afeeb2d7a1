"""A project of its own and a stack of components that exist already, to run pipelines on."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail.authoring.pipeline import Pipeline
from dovetail.client.client import Client
from dovetail.client.views import Run
from dovetail.components.component import Component, Secret
from dovetail.execution.driver import Listener
from dovetail.execution.running import begin, execute
from dovetail.execution.scheduling import make_schedule
from dovetail.graph.definition import StepDefinition
from dovetail.graph.tracing import Traced
from dovetail.planning.planner import Planner, Request
from dovetail.planning.preflight import preflight
from dovetail.planning.workspace import Workspace, assemble
from dovetail.registry import Registry
from dovetail.stack.stack import ComponentSpec, Stack
from dovetail.stack.validation import validate
from dovetail.testing.given import GivenStack, flavor_of
from dovetail.values.plan import Plan, PlanStep
from dovetail.values.project import MARKER, Project
from dovetail.values.settings import Schedule

_PIPELINES = "contract_pipelines"
_CHOICES = ("DOVETAIL_STACK", "DOVETAIL_PROJECT", "DOVETAIL_PLUGINS", "CI")


@dataclass(frozen=True)
class Trial:
    """Runs pipelines on one stack and answers what came of it."""

    workspace: Workspace

    @property
    def client(self) -> Client:
        return Client(workspace=self.workspace)

    def plan(self, pipeline: Pipeline[Any], /, **parameters: Any) -> Plan:
        """The plan, after it passed the checks before a run. Raises PreflightFailed."""
        return self._planned(pipeline.trace(**parameters))

    def run(self, pipeline: Pipeline[Any], /, *listeners: Listener, **parameters: Any) -> Run:
        """Run it until it ends, whatever comes of it."""
        traced = pipeline.trace(**parameters)
        plan = self._planned(traced)
        begin(plan, self.workspace)
        definitions = traced.live.definitions

        def definition(step: PlanStep) -> StepDefinition:
            return definitions.get(step.invocation) or definitions[step.invocation.rpartition(".")[0]]

        execute(plan, self.workspace, definition, listeners)
        return Run(self.client, plan.run_id)

    def schedule(self, pipeline: Pipeline[Any], schedule: Schedule, /, **parameters: Any) -> str:
        """What the engine calls the schedule that it keeps of the pipeline; "" where `dovetail scheduler` keeps it."""
        plan = self._planned(pipeline.trace(**parameters), later=True)
        return str(make_schedule(plan, self.workspace, schedule, f"{pipeline.name}-{{date}}-{{time}}").get("address", ""))

    def _planned(self, traced: Traced, *, later: bool = False) -> Plan:
        plan = Planner(self.workspace, traced, Request(later=later)).plan()
        preflight(plan, self.workspace)
        return plan


@dataclass(frozen=True)
class TrialProject:
    """A project of a test's own. `pipelines`: the module of `dovetail.testing.pipelines`, copied into it as a user's own code."""

    project: Project
    registry: Registry
    pipelines: Any
    monkeypatch: pytest.MonkeyPatch

    def on(self, *components: Component, waive: Sequence[str] = ()) -> Trial:
        """A stack of these very components, which may leave the settings in `waive` unhonoured."""
        return Trial(assemble(self.project, self.registry, self.stack_of(*components, waive=waive)))

    def stack_of(self, *components: Component, more: Sequence[ComponentSpec] = (), waive: Sequence[str] = ()) -> Stack:
        """The stack of these components, and of those that `more` describes."""
        specs = [self.spec_of(component) for component in components]
        return GivenStack(components, [*specs, *more], self.registry, self.project, waive)

    def spec_of(self, component: Component) -> ComponentSpec:
        """What a stack file would say of it: each secret is a reference to a variable, which is set during the test."""
        configuration = {name: value for name, value in component.configuration().items() if value is not None}
        for name, value in configuration.items():
            if isinstance(value, Secret):
                variable = f"DOVETAIL_CONTRACT_{name.upper()}"
                self.monkeypatch.setenv(variable, value.reveal())
                configuration[name] = f"${{{variable}}}"
        checked = validate(type(component), configuration)
        assert not checked.problems, checked.problems
        flavor = flavor_of(type(component), self.registry)
        name = f"{flavor}-{id(component)}"  # preflight remembers by it which stores it has tried
        return ComponentSpec(component.component_type, flavor, name, checked.configuration)


@contextmanager
def project_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    """Make one, which is also the one that processes started from here find."""
    (folder / ".dovetail").mkdir(parents=True)
    (folder / ".dovetail" / MARKER).write_text("name: contract\n", encoding="utf-8")
    shutil.copy(Path(__file__).with_name("pipelines.py"), folder / f"{_PIPELINES}.py")
    monkeypatch.setenv("DOVETAIL_PROJECT", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(_PIPELINES, None)
    try:
        project = Project(folder, folder / ".dovetail", marked=True)
        yield TrialProject(project, Registry.load(), importlib.import_module(_PIPELINES), monkeypatch)
    finally:
        sys.modules.pop(_PIPELINES, None)


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing that a test does, or that this user has set, reach the other."""
    for name in _CHOICES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOVETAIL_HOME", str(folder / "home"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(folder / "cache"))
