"""The checks before a run: everything that is wrong, not the first thing only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dovetail.components.component import Capability
from dovetail.components.orchestrator import GraphOrchestrator, Orchestrator
from dovetail.components.runner import Runner
from dovetail.errors import DovetailError, PreflightFailed
from dovetail.graph.definition import importable
from dovetail.planning.elsewhere import elsewhere_problems
from dovetail.planning.workspace import Workspace, addressed, runner_of, runs_images, settings_for, without_waived
from dovetail.values.amounts import bytes_in_words
from dovetail.values.encoding import SESSION
from dovetail.values.plan import Decision, Plan, PlanStep

_COMPONENT_OPTIONS = ("experiment_tracker", "model_deployer", "step_operator", "data_validator")
_checked: set[str] = set()


def preflight(plan: Plan, workspace: Workspace) -> None:
    """Raises PreflightFailed with every problem found, one sentence each with its cure."""
    problems = list(dict.fromkeys(find_problems(plan, workspace)))
    if problems:
        raise PreflightFailed(f"Pipeline '{plan.pipeline}' on stack '{workspace.stack.name}'", problems)


def find_problems(plan: Plan, workspace: Workspace) -> Iterator[str]:
    yield from _store_problems(workspace)
    orchestrator: Any = workspace.stack.build("orchestrator")
    if not isinstance(orchestrator, Orchestrator):
        yield f"Stack '{workspace.stack.name}' has no orchestrator. Add one: dovetail stack update {workspace.stack.name} -o NAME."
        return
    yield from plan.problems
    if any(step.decision in (Decision.RUN, Decision.LATER) for step in plan.steps):
        yield from _unreachable(workspace)
        yield from _engines_away(plan, orchestrator, workspace)
    if plan.images or any(step.decision is not Decision.TAKEN and runs_images(workspace, step.options) for step in plan.steps):
        from dovetail.planning.image_problems import image_problems

        yield from image_problems(plan, workspace)
    if plan.code is not None:
        from dovetail.planning.import_check import find_import_problems

        yield from find_import_problems(plan, workspace)
    seen: set[int] = set()
    for step in plan.steps:
        if step.decision is Decision.TAKEN:
            continue
        if step.node.when and Capability.CONDITIONS not in orchestrator.capabilities:
            yield _refusal(step, "conditions", orchestrator)
        if step.node.mapped and Capability.MAP not in orchestrator.capabilities:
            yield _refusal(step, "map", orchestrator)
        runner = runner_of(workspace, step.options) or orchestrator
        if runner is not orchestrator or Capability.REMOTE in runner.capabilities:
            yield from elsewhere_problems(step, runner, workspace)
            if runner is not orchestrator and isinstance(orchestrator, GraphOrchestrator):  # whose job starts the operator's
                yield from elsewhere_problems(step, orchestrator, workspace)
        elif not importable(step.node.source) or (plan.code is None and step.node.source.startswith(f"{SESSION}:")):
            yield from _unimportable(step, runner)
        if step.options and id(step.options) not in seen:
            seen.add(id(step.options))
            yield from _option_problems(step, runner, workspace)


def _store_problems(workspace: Workspace) -> Iterator[str]:
    """Really writes to the store, once per process and store."""
    mark = repr(workspace.stack.components.get("artifact_store"))
    if mark not in _checked:
        problems = workspace.store.check()
        yield from problems
        if not problems:
            _checked.add(mark)


def _unreachable(workspace: Workspace) -> Iterator[str]:
    """What the checks find of components that must be reached for a run to begin."""
    stack = workspace.stack
    others = [kind for kind in stack.components if kind not in ("orchestrator", "artifact_store", "secret_store")]
    needed = [kind for kind in others if getattr(stack.build(kind), "on_unreachable", None) == "fail"]
    if needed:
        from dovetail.stack.checks import check_components

        for problem in check_components(stack, needed):
            yield f"{problem} Or let runs go on without it: `on_unreachable: continue` in its configuration."


def _engines_away(plan: Plan, orchestrator: Orchestrator, workspace: Workspace) -> Iterator[str]:
    """What the checks find of engines that are to start workers elsewhere."""
    runners = [runner_of(workspace, step.options) or orchestrator for step in plan.steps if step.decision in (Decision.RUN, Decision.LATER)]
    needed = dict.fromkeys(runner.component_type for runner in runners if runner is not orchestrator or Capability.REMOTE in runner.capabilities)
    if needed:
        from dovetail.stack.checks import check_components

        yield from check_components(workspace.stack, needed)


def _option_problems(step: PlanStep, runner: Runner, workspace: Workspace) -> Iterator[str]:
    yield from _missing_components(step, workspace)
    yield from _unsupported(step, runner, set(workspace.stack.waive))
    wrong = list(_settings_problems(step, workspace))
    yield from wrong
    if not wrong:
        wanted, settings = without_waived(step.resources, workspace.stack.waive), settings_for(workspace, step.options, runner.component_type)
        by = f"{runner.component_type.replace('_', ' ')} '{runner.name}'"
        yield from (f"Step '{step.invocation}', by {by}: {problem}" for problem in runner.ill_fitting(wanted, settings))


def _unimportable(step: PlanStep, runner: Runner) -> Iterator[str]:
    if needs_process(step):
        why = "needs a process of its own (it has a timeout, or asks for one)"
    elif runner.separates():
        why = f"would get a process of its own, as {runner.component_type} '{runner.name}' gives one to every step"
    else:
        return
    typed = step.node.source.startswith(f"{SESSION}:")
    cure = "which was typed in, cannot be imported there. Write it in a file." if typed else "cannot be imported there. Define the step at module level."
    yield f"Step '{step.invocation}' {why}, and {step.node.source}{',' if typed else ''} {cure}"


def _missing_components(step: PlanStep, workspace: Workspace) -> Iterator[str]:
    for component_type in _COMPONENT_OPTIONS:
        wanted = step.options.get(component_type)
        if not wanted:
            continue
        present = _name_of(workspace, component_type)
        kind = component_type.replace("_", " ")
        option = component_type.replace("_", "-")
        if present is None:
            yield (
                f"Step '{step.invocation}' asks for {'the' if wanted is True else f'the {kind}'} {kind if wanted is True else repr(wanted)}, and stack "
                f"'{workspace.stack.name}' has none. Choose a stack that has, or make one: dovetail stack register … --{option} NAME."
            )
        elif wanted is not True and wanted != present:
            yield (
                f"Step '{step.invocation}' asks for the {kind} '{wanted}', and stack '{workspace.stack.name}' has '{present}'. "
                f"Use {component_type}=True for whichever the stack has, or choose another stack."
            )


def _unsupported(step: PlanStep, runner: Runner, waived: set[str]) -> Iterator[str]:
    asked: list[tuple[str, bool, Capability]] = [
        ("retry", "retry" in step.options, Capability.RETRIES),
        ("timeout", step.timeout is not None, Capability.TIMEOUTS),
        ("resources", bool(step.resources.cpu or step.resources.memory), Capability.RESOURCES),
        ("resources.gpu", bool(step.resources.gpu), Capability.GPUS),
        ("resources.gpu_type", bool(step.resources.gpu_type), Capability.GPU_TYPES),
        ("resources.disk", bool(step.resources.disk), Capability.DISK),
        ("environment.env", bool(step.environment.env), Capability.ENVIRONMENT_VARIABLES),
        ("environment", step.environment.builds, Capability.ENVIRONMENTS),
    ]
    for setting, wanted, capability in asked:
        if wanted and capability not in runner.capabilities and setting not in waived:
            yield _refusal(step, setting, runner)
    most = runner.capacity() if isinstance(runner, Orchestrator) else None
    for name in ("cpu", "memory", "disk"):
        wants, has = getattr(step.resources, name), getattr(most, name) if most else None
        if wants is not None and has is not None and wants > has and f"resources.{name}" not in waived:
            yield (
                f"Step '{step.invocation}' asks for {name} {_amount(name, wants)}, and {runner.component_type.replace('_', ' ')} '{runner.name}' "
                f"has {_amount(name, has)}. "
                f"Ask for less, or add `waive: [resources.{name}]` to the stack file."
            )


def _amount(name: str, value: float) -> str:
    return f"{value:g}" if name == "cpu" else bytes_in_words(int(value))


def _settings_problems(step: PlanStep, workspace: Workspace) -> Iterator[str]:
    for target, settings in (step.options.get("settings") or {}).items():
        component_type = addressed(workspace, target)
        if component_type is None:
            meant = _mistyped(target, workspace)
            if meant is not None:
                yield f"Step '{step.invocation}' has settings for '{target}', which nothing is called. Did you mean '{meant}'?"
        else:
            try:
                workspace.stack.checked_settings(component_type, settings)
            except DovetailError as error:
                yield f"Step '{step.invocation}', settings for '{target}': {error}"


def _mistyped(target: str, workspace: Workspace) -> str | None:
    """The component type that was meant. Any other name may be that of a component in another stack."""
    from difflib import get_close_matches

    near = get_close_matches(target, [known.name for known in workspace.registry.component_types()], n=1, cutoff=0.8)
    return near[0] if near and near[0] != target else None


def _refusal(step: PlanStep, setting: str, runner: Runner) -> str:
    kind = runner.component_type.replace("_", " ")
    return (
        f"Step '{step.invocation}' sets {setting}, which {kind} '{runner.name}' (flavor {runner.flavor}) cannot honour. "
        f"Remove it, use another {kind}, or add `waive: [{setting}]` to the stack file."
    )


def needs_process(step: PlanStep) -> bool:
    """Whether the step must run in a worker process, whatever else runs."""
    return step.timeout is not None or bool(step.options.get("isolated"))


def _name_of(workspace: Workspace, component_type: str) -> str | None:
    spec = workspace.stack.components.get(component_type)
    return spec.name if spec is not None else None
