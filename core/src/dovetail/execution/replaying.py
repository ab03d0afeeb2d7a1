"""Running one step of a past run again, here: with its own inputs and the code that the run kept, and without recording anything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.errors import ConfigurationError, NotFound
from dovetail.execution.attempt import Attempt, inside, make_tracker, open_tracker, save_outputs, scope_of
from dovetail.execution.importing import definition_of, use_laid_out, use_package
from dovetail.execution.inputs import load_inputs
from dovetail.execution.resuming import recorded_plan
from dovetail.execution.scope import StepScope
from dovetail.execution.surroundings import variables_set
from dovetail.execution.work import RunInfo
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.overlay import OverlayStore
from dovetail.materializers.finder import Materializers
from dovetail.planning.keys import resolve
from dovetail.planning.workspace import Workspace
from dovetail.stack.stack import Stack
from dovetail.values.imports import RecordedTypes
from dovetail.values.plan import Plan, PlanStep, Status
from dovetail.values.project import Project, find_project

Caller = Callable[[Callable[..., Any], Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Replay:
    """A step that is ready to run again. `then`: what the run recorded of it; empty where it never ran.

    `notes`: what is otherwise here than it was there. `folder`: the working folder that it ran in, where that is not the user's.
    """

    plan: Plan
    step: PlanStep
    inputs: Mapping[str, Any]
    then: Mapping[str, Any]
    notes: tuple[str, ...]
    workspace: Workspace
    folder: Path | None = None

    @property
    def status(self) -> Status | None:
        return Status(self.then["status"]) if self.then else None


@dataclass(frozen=True)
class Replayed:
    """`value`: what the function returned. `outputs`: what the outcome would say of each, by name. `same`: whether it is what the run got."""

    value: Any
    outputs: Mapping[str, Mapping[str, Any]]
    same: Mapping[str, bool]
    metrics: Mapping[str, float] = field(default_factory=dict)


def prepare(workspace: Workspace, run_id: str, invocation: str) -> Replay:
    """Find a step's inputs and make this process import the run's own code; call it before any of that code is imported.

    Raises NotFound for a step that the run has not, ConfigurationError for one whose inputs or code are not there.
    """
    records = workspace.ledger.run(run_id)
    plan = recorded_plan(workspace.ledger, run_id)
    step = _step(workspace.ledger, plan, invocation)
    outcome = records.outcome(invocation) or {}
    inputs = _inputs(workspace.ledger, plan, step, outcome)
    folder, project = _code_of(workspace, plan)
    stack = Stack.from_snapshot(dict(plan.stack), workspace.registry, project)
    materializers = Materializers(workspace.registry.materializer_specs(), RecordedTypes(project, workspace.registry.plugin_modules()))
    ledger = Ledger(workspace.store, materializers)
    return Replay(plan, step, inputs, outcome, tuple(_notes(plan, step)), Workspace(project, workspace.registry, stack, ledger), folder)


def _code_of(workspace: Workspace, plan: Plan) -> tuple[Path | None, Project]:
    """The folder that a step which ran elsewhere finds the project's files in, and the project; its files, too, are those of the run."""
    if plan.code is not None and plan.package is not None:
        folder = use_laid_out(workspace.ledger.records, plan.package)
        return folder, find_project(folder)
    use_package(workspace.ledger.records, plan.package, plan.root)
    return None, find_project(Path(plan.root)) if plan.root and Path(plan.root).is_dir() else workspace.project


def replay(prepared: Replay, call: Caller | None = None) -> Replayed:
    """Run the step's function and save its outputs aside. Whatever it raises is raised.

    `call`: how to call the function with its arguments, as under a debugger. Hooks are not called and no tracker is told;
    what the step saves, tags or promotes is thrown away at the end, and so is what it says to a tracker's tool by the tool's own calls.
    """
    with _aside(prepared.workspace) as workspace, tempfile.TemporaryDirectory(prefix="dovetail-replay-", ignore_cleanup_errors=True) as told:
        started = workspace.ledger.run(prepared.plan.run_id).started() or {}
        info = replace(RunInfo.of(prepared.plan), models=started.get("models", {}), started=True)
        definition = definition_of(prepared.step)
        attempt = Attempt(workspace, info, prepared.step, definition, prepared.inputs, None)
        scope = scope_of(attempt)
        scope.make_tracker = lambda: _tracker_aside(attempt, Path(told))
        try:
            with _within(prepared.folder):
                value, outputs = _run(attempt, scope, call or (lambda function, arguments: function(**arguments)))
        finally:
            _stop_deployments(workspace, prepared.workspace)
    then = prepared.then.get("outputs", {})
    same = {name: output["digest"] == then[name]["digest"] for name, output in outputs.items() if name in then}
    return Replayed(value, outputs, same, {name: points[-1][0] for name, points in scope.metrics.items()})


def _run(attempt: Attempt, scope: StepScope, call: Caller) -> tuple[Any, dict[str, Any]]:
    arguments = load_inputs(attempt.workspace, attempt.definition, attempt.inputs)
    with variables_set(attempt.step.environment.env):
        try:
            open_tracker(attempt, scope)
            with inside(scope):
                value = call(attempt.definition.function, arguments)
        finally:
            scope.end(Status.COMPLETED, {}, {})
    return value, save_outputs(attempt, scope, value, annotated=attempt.definition.signature.outputs is not None)


def _tracker_aside(attempt: Attempt, folder: Path) -> ExperimentTracker | None:
    tracker = make_tracker(attempt.workspace, attempt.step)
    return tracker.aside(folder) if tracker is not None else None


def _step(ledger: Ledger, plan: Plan, invocation: str) -> PlanStep:
    """The plan's part, for a child of a mapped step too."""
    found = {step.invocation: step for step in plan.steps}
    if invocation in found:
        if found[invocation].node.mapped is not None:
            children = (ledger.run(plan.run_id).expansion(invocation) or {}).get("children", [])
            cure = f"Replay one of its children: {', '.join(children[:5])}." if children else ""
            raise ConfigurationError(f"Step '{invocation}' is mapped: it ran once for each item. {cure}".rstrip())
        return found[invocation]
    parent, _, number = invocation.rpartition(".")
    outcome = ledger.run(plan.run_id).outcome(invocation) if parent in found and number.isdecimal() else None
    if outcome is None:
        raise NotFound("step", invocation, found, f"These are the steps of run {plan.run_name}.")
    node = replace(found[parent].node, invocation=invocation, mapped=None, when=(), after=())
    return replace(found[parent], node=node)


def _inputs(ledger: Ledger, plan: Plan, step: PlanStep, outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the step was given; where it never began, what it would have been given."""
    recorded = outcome.get("inputs", {})
    if recorded or not step.node.inputs:
        return dict(recorded)
    records = ledger.run(plan.run_id)

    def output_of(invocation: str, output: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = (records.outcome(invocation) or {}).get("outputs", {}).get(output)
        return found

    resolved = {name: resolve(given, output_of) for name, given in step.node.inputs.items()}
    missing = sorted(name for name, given in resolved.items() if given is None)
    if missing:
        why = f", because {outcome['why']}" if "why" in outcome else ""
        raise ConfigurationError(
            f"Step '{step.invocation}' never ran{why}, and its input '{missing[0]}' was never made, so it cannot be replayed."
        )
    return {name: given for name, given in resolved.items() if given is not None}


def _notes(plan: Plan, step: PlanStep) -> Iterator[str]:
    from importlib import metadata

    code = plan.codes.get(step.code or "")
    for name, version in (code.packages if code is not None else {}).items():
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            here = "not installed"
        if here != version:
            yield f"{name} was {version} and is {here} here"


@contextmanager
def _within(folder: Path | None) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _aside(workspace: Workspace) -> Iterator[Workspace]:
    """The same workspace, with a ledger whose writes go to a folder that is removed at the end."""
    cls: Any = workspace.registry.component_class("artifact_store", "local")
    with tempfile.TemporaryDirectory(prefix="dovetail-replay-", ignore_cleanup_errors=True) as folder:
        overlay = OverlayStore(upper=cls(path=folder), lower=workspace.store, trusted=workspace.store.trusted)
        yield replace(workspace, ledger=Ledger(overlay, workspace.ledger.artifacts.materializers))


def _stop_deployments(workspace: Workspace, before: Workspace) -> None:
    """A model that the step deployed would serve on, with nobody who knows of it."""
    deployer: Any = None
    for path, entry in list(workspace.store.walk("deployments")):
        if before.store.stat(path) is None and entry.name.endswith(".json"):
            deployer = deployer or workspace.stack.build("model_deployer")
            deployer.stop(workspace.ledger.records.get(path)["handle"])
