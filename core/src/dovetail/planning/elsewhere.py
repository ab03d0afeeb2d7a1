"""Steps that do not run on the submitter's machine, and what of a stack cannot follow them."""

from __future__ import annotations

from collections.abc import Iterator

from dovetail.components.component import Component
from dovetail.components.runner import Runner
from dovetail.graph.definition import importable
from dovetail.planning.workspace import Workspace
from dovetail.values.plan import PlanStep


def elsewhere_problems(step: PlanStep, runner: Runner, workspace: Workspace) -> Iterator[str]:
    """What keeps the step from being run elsewhere, one sentence each."""
    if not importable(step.node.source):
        yield (
            f"Step '{step.invocation}' runs elsewhere, by {_title(runner)}, and {step.node.source} cannot be imported there. "
            f"Define the step at module level."
        )
    stack = workspace.stack
    wanted = {"artifact_store", *(kind for kind in ("experiment_tracker", "model_deployer") if kind in stack.components and step.options.get(kind))}
    shared = runner.shares_folders()
    for kind in stack.components:
        component = stack.build(kind)
        if component is None or component is runner or kind in ("orchestrator", "secret_store"):
            continue
        if component.confined and kind in wanted:
            where = "in this process" if component.confined == "process" else "on this machine"
            yield f"{_title(component)} works {where} only, and {_title(runner)} runs steps elsewhere. Use another flavor of {_kind(component)}."
        elif not shared and component.local_folders():
            yield (
                f"{_title(component)} keeps things in {component.local_folders()[0]}, a folder of this machine, which workers of {_title(runner)} "
                f"do not see. Use one that they can reach."
            )


def _title(component: Component) -> str:
    return f"{_kind(component)} '{component.name}'"


def _kind(component: Component) -> str:
    return component.component_type.replace("_", " ")
