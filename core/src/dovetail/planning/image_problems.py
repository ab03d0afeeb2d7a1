"""What keeps a plan's steps from getting the container images that they run in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from dovetail.components.image_builder import ImageBuilder
from dovetail.components.runner import Runner
from dovetail.errors import DovetailError
from dovetail.planning.workspace import Workspace, runner_type, runs_images
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
    for image, kind in dict.fromkeys((step.image, runner_type(step.options)) for step in running if step.image and step.image not in plan.images):
        yield from _differences(image, kind, plan, workspace)


def _nothing_builds(step: PlanStep, workspace: Workspace) -> str:
    name = workspace.stack.components[runner_type(step.options)].name
    kind = runner_type(step.options).replace("_", " ")
    return (
        f"Step '{step.invocation}' runs in a container image, by {kind} '{name}', and stack '{workspace.stack.name}' has no image builder. "
        f"Add one: dovetail stack update {workspace.stack.name} --image-builder NAME; or give the step an image that holds Dovetail and what "
        "it imports: @step(environment=Environment(image=…))."
    )


def _differences(image: str, kind: str, plan: Plan, workspace: Workspace) -> Iterator[str]:
    """Whether a given image holds Dovetail and its plugins as the plan names them, where that can be told cheaply."""
    try:
        found = _versions_in(image, kind, workspace)
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


def _versions_in(image: str, kind: str, workspace: Workspace) -> Mapping[str, str] | None:
    """As who runs the step says, else as the image builder does."""
    for asked in (workspace.stack.build(kind), workspace.stack.build(ImageBuilder)):
        if isinstance(asked, (Runner, ImageBuilder)):
            with contextlib.suppress(ConnectionError):  # that it is away is what another check says
                found = asked.versions_in(image)
                if found is not None:
                    return found
    return None
