"""What keeps a plan's steps from getting the container images that they run in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from dovetail.components.image_builder import ImageBuilder
from dovetail.components.runner import Runner
from dovetail.errors import DovetailError
from dovetail.planning.workspace import Workspace, runner_of, runs_images
from dovetail.values.plan import Decision, Plan, PlanStep


def image_problems(plan: Plan, workspace: Workspace) -> Iterator[str]:
    """One sentence each, with its cure; steps that are not going to run need no image."""
    running = [step for step in plan.steps if step.decision in (Decision.RUN, Decision.LATER) and runs_images(workspace, step.options)]
    for step in running:
        if step.image is None:
            yield _nothing_builds(step, workspace)
    if any(step.image in plan.images for step in running):
        from dovetail.stack.checks import check_components

        needed = [kind for kind in ("image_builder", "container_registry") if kind in workspace.stack.components]
        yield from check_components(workspace.stack, needed)
    given = [(step.image, runner_of(workspace, step.options)) for step in running if step.image and step.image not in plan.images]
    for image, runner in {(image, id(runner)): (image, runner) for image, runner in given}.values():
        yield from _differences(image, runner, plan, workspace)


def _nothing_builds(step: PlanStep, workspace: Workspace) -> str:
    runner = runner_of(workspace, step.options)
    by = f", by {runner.component_type.replace('_', ' ')} '{runner.name}'" if runner is not None else ""
    return (
        f"Step '{step.invocation}' runs in a container image{by}, and stack '{workspace.stack.name}' has no image builder. "
        f"Add one: dovetail stack update {workspace.stack.name} --image-builder NAME; or give the step an image that holds Dovetail and what "
        "it imports: @step(environment=Environment(image=…))."
    )


def _differences(image: str, runner: Runner | None, plan: Plan, workspace: Workspace) -> Iterator[str]:
    """Whether a given image holds Dovetail and its plugins as the plan names them, where that can be told cheaply."""
    try:
        found = _versions_in(image, [asked.versions_in for asked in (runner, workspace.stack.build(ImageBuilder)) if asked is not None])
    except DovetailError as error:
        yield str(error)
        return
    if found is None:
        return
    for name, version in plan.versions.items():
        if found.get(name) != version:
            there = f"{name} {found[name]}" if name in found else f"no {name}"
            yield (
                f"Image {image} holds {there}, and the run is planned with {name} {version}. Install {name}=={version} in it, or leave the "
                "image out, so that one is built."
            )


def _versions_in(image: str, ask: Sequence[Callable[[str], Mapping[str, str] | None]]) -> Mapping[str, str] | None:
    """As the first of these says that can tell."""
    for versions_in in ask:
        with contextlib.suppress(ConnectionError):  # that it is away is what another check says
            found = versions_in(image)
            if found is not None:
                return found
    return None
