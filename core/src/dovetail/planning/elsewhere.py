"""Steps that do not run on the submitter's machine, and what of a stack cannot follow them."""

from __future__ import annotations

from collections.abc import Iterator

from dovetail.components.component import Component
from dovetail.components.orchestrator import GraphOrchestrator
from dovetail.components.runner import Runner
from dovetail.graph.definition import importable
from dovetail.planning.workspace import Workspace
from dovetail.stack.stack import OF_THE_SUBMITTER
from dovetail.values.plan import PlanStep


def elsewhere_problems(step: PlanStep, runner: Runner, workspace: Workspace) -> Iterator[str]:
    """What keeps the step from being run elsewhere, one sentence each."""
    if not importable(step.node.source):
        yield (
            f"Step '{step.invocation}' runs elsewhere, by {_title(runner)}, and {step.node.source} cannot be imported there. "
            f"Define the step at module level."
        )
    if runner.shows_variables:
        yield from _would_be_seen(runner, workspace)
    stack = workspace.stack
    named = ("experiment_tracker", "model_deployer", "data_validator")
    wanted = {"artifact_store", *(kind for kind in named if kind in stack.components and step.options.get(kind))}
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


def _would_be_seen(runner: Runner, workspace: Workspace) -> Iterator[str]:
    """Secrets that a worker would need and could be given only where others see them."""
    stack = workspace.stack
    kept = stack.secret_store()
    private = bool(kept.confined or kept.local_folders())
    for kind, spec in stack.components.items():
        of_submitter = kind in OF_THE_SUBMITTER or (kind == "step_operator" and not isinstance(runner, GraphOrchestrator))
        variables, secrets = stack.references_of(kind) if not of_submitter else (set(), set())
        told = f"and who may look at jobs of {_title(runner)} sees their variables"
        for variable in sorted(variables):
            yield (
                f"{spec.title} takes a secret from ${{{variable}}}, {told}. Leave the field out, so that workers use credentials of "
                f"their own, or keep it in a secret store that they can reach, as {{{{ name.key }}}}."
            )
        for name, key in sorted(secrets if private else ()):
            yield (
                f"{spec.title} refers to {{{{ {name}.{key} }}}}, which secret store '{kept.name}' keeps on this machine, {told}. "
                f"Add a secret store to the stack that workers can reach, and put it there."
            )


def _title(component: Component) -> str:
    return f"{_kind(component)} '{component.name}'"


def _kind(component: Component) -> str:
    return component.component_type.replace("_", " ")
