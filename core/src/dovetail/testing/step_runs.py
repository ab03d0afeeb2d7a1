"""Runs one step as a pipeline would, for users' own tests."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from dovetail.authoring.pipeline import pipeline
from dovetail.authoring.step import Step
from dovetail.client.views import Run, StepRun
from dovetail.errors import DefinitionError, RunFailed
from dovetail.planning.workspace import has_instead
from dovetail.testing.stacks import in_memory
from dovetail.values.artifacts import ExternalArtifact
from dovetail.values.encoding import NotEncodable, encode


@dataclass(frozen=True)
class StepResult:
    """What a step gave, after it was stored and loaded as for the step that follows.

    `value`: its only output, None where it has none, a tuple in the order of the annotation where it has several.
    """

    run: Run
    step: StepRun
    outputs: dict[str, Any]
    log: str

    @property
    def value(self) -> Any:
        values = tuple(self.outputs.values())
        return values[0] if len(values) == 1 else values or None

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each."""
        return self.step.metrics

    @property
    def params(self) -> dict[str, Any]:
        return self.step.params

    @property
    def metadata(self) -> dict[str, Any]:
        return self.step.metadata


def run_step(step: Any, /, **inputs: Any) -> StepResult:
    """Run a step with these values: on the stack of the surrounding `in_memory` or `on_disk`, else on one in memory.

    Whatever is no parameter is stored first, as an artifact from another step would be. Raises what the step raised;
    retries, materializers and hooks are at work as anywhere.
    """
    if not isinstance(step, Step):
        raise DefinitionError(f"run_step(…) runs a function that is marked with @step, and {step!r} is none. Mark it, or call it as it is.")
    given = {name: _as_input(value) for name, value in inputs.items()}

    def trying() -> None:
        step(**given)

    with nullcontext() if has_instead() else in_memory():
        try:
            run = pipeline(name="trying")(trying).with_options(quiet=True)()
        except RunFailed as failure:
            if failure.__cause__ is not None:
                raise failure.__cause__ from None
            raise
        (found,) = run.steps.values()
        outputs = {name: artifact.load() for name, artifact in found.outputs.items()}
        _ = found.outcome  # read while the stack is there
        return StepResult(run, found, outputs, found.log())


def _as_input(value: Any) -> Any:
    if isinstance(value, ExternalArtifact):
        return value
    try:
        encode(value)
    except NotEncodable:
        return ExternalArtifact(value)
    return value
