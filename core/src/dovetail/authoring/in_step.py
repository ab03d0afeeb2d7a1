"""What a step's code says and asks while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dovetail.client.client import Client
from dovetail.client.models import ModelVersion
from dovetail.client.stack_view import StackView
from dovetail.client.views import Artifact, Run
from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.errors import DefinitionError
from dovetail.execution.attempt import tell_start
from dovetail.execution.scope import StepScope, checked, current, numbers, required
from dovetail.graph import tracing
from dovetail.materializers.interface import BaseMaterializer
from dovetail.planning.readings import model_reading, schedule_reading
from dovetail.values.encoding import decode
from dovetail.values.names import check_name, nearest_name


class StepContext:
    """The step that the calling code runs in."""

    def __init__(self, scope: StepScope) -> None:
        self._scope = scope

    @property
    def run(self) -> Run:
        tell_start(self._scope)
        return Run(Client(workspace=self._scope.workspace), self._scope.step_run.run_id)

    @property
    def run_id(self) -> str:
        return self._scope.step_run.run_id

    @property
    def run_name(self) -> str:
        return self._scope.step_run.run_name

    @property
    def pipeline_name(self) -> str:
        return self._scope.step_run.pipeline

    @property
    def step_name(self) -> str:
        """The invocation's name, such as `train_2`."""
        return self._scope.step_run.name

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._scope.step_run.attempt

    @property
    def parameters(self) -> dict[str, Any]:
        return {name: decode(value) for name, value in self._scope.step_run.parameters.items()}

    @property
    def scheduled_for(self) -> datetime | None:
        """The moment at which a schedule was to start the run; None for a run that no schedule made. A step that asks is never cached."""
        moment = self.run.scheduled_for
        self._scope.note(schedule_reading(moment.timestamp() if moment is not None else None))
        return moment

    @property
    def stack(self) -> StackView:
        """The stack's components; what is asked for here counts for the cache."""
        return StackView(self._scope.workspace)

    @property
    def model(self) -> ModelVersion | None:
        """The model version that the step works on or uses, if any. A step that uses one by its stage is run again when that is another."""
        run = self._scope.step_run
        if run.model is None or run.model_version is None:
            return None
        client = Client(workspace=self._scope.workspace)
        if self._scope.model_wanted is None:
            return ModelVersion(client, run.model, run.model_version, {"run": run.run_id, "at": time.time()})
        self._scope.note(model_reading(run.model, self._scope.model_wanted, run.model_version))
        return ModelVersion(client, run.model, run.model_version, client.ledger.versions.model(run.model, run.model_version) or {})

    def add_output_metadata(self, metadata: Mapping[str, Any], output_name: str | None = None) -> None:
        """Said of an output before it exists; without a name, of the only one."""
        self._scope.output_metadata.setdefault(output_name or "", {}).update(checked("metadata", metadata))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """As `dovetail.log_params`, from any thread."""
        self._scope.log_params(checked("parameter", params))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """As `dovetail.log_metrics`, from any thread."""
        self._scope.log_metrics(numbers(metrics), step)

    def log_file(self, path: str | os.PathLike[str], folder: str = "") -> None:
        """Keep a file or folder with this step run: in the stack's tracker, where that keeps files, else as an artifact.

        The artifact is called `<pipeline>.<step>.<folder>.<file>`, or `<pipeline>.<step>.<folder>` where all of a folder is kept
        in it. Raises FileNotFoundError.
        """
        place = Path(path)
        if not place.exists():
            raise FileNotFoundError(f"There is no file {place} to keep.")
        if not self._scope.log_file(place.absolute(), folder):
            below = [] if folder and place.is_dir() else [place.name]
            parts = [self.pipeline_name, self.step_name, *folder.split("/"), *below]
            _save(self._scope, place, nearest_name(".".join(part for part in parts if part)))

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Say these of this step run: with its metadata in the record, and in a tracker that has tags."""
        self._scope.set_tags({str(name): str(value) for name, value in tags.items()})

    def at_end(self, call: Callable[[], None]) -> None:
        """Call it here once the step's function has ended, however it did; what it logs is still recorded.

        For tools that keep something of the step while it runs. An error in it fails no step and is noted as the tracker's.
        """
        self._scope.at_end.append(call)

    @property
    def tracker(self) -> ExperimentTracker | None:
        """The open mirror of this step run, of whichever flavor the stack has; None where it has none or it cannot be reached.

        What is logged straight to it is not in the record.
        """
        return self._scope.opened_tracker()

    @property
    def tracker_url(self) -> str | None:
        """Where the stack's tracker shows this step run, if it says."""
        tracker = self.tracker
        return tracker.url(self._scope.step_run) if tracker is not None else None


class PipelineContext:
    """The pipeline that is being traced."""

    def __init__(self, tracer: tracing.Tracer) -> None:
        self.name = tracer.pipeline

    def __repr__(self) -> str:
        return f"<pipeline context of {self.name}>"


def get_step_context() -> StepContext:
    """Raises RuntimeError outside a step that a run executes."""
    return StepContext(required("get_step_context()"))


def get_pipeline_context() -> PipelineContext:
    """Raises RuntimeError outside a pipeline function that is being traced."""
    tracer = tracing.current.get()
    if tracer is None:
        raise RuntimeError("get_pipeline_context() has a meaning only inside a pipeline function.")
    return PipelineContext(tracer)


def log_params(params: Mapping[str, Any] | None = None, **named: Any) -> None:
    """Record parameters of this step run: JSON values by name. They also go to the stack's tracker."""
    required("log_params()").log_params(checked("parameter", {**(params or {}), **named}))


def log_metrics(metrics: Mapping[str, float] | None = None, *, step: int | None = None, **named: float) -> None:
    """Record metrics of this step run: numbers by name, `step` being an iteration. They also go to the stack's tracker."""
    required("log_metrics()").log_metrics(numbers({**(metrics or {}), **named}), step)


def log_metadata(metadata: Mapping[str, Any] | None = None, **named: Any) -> None:
    """Record facts of this step run: JSON values by name."""
    required("log_metadata()").metadata.update(checked("metadata", {**(metadata or {}), **named}))


def log_artifact_metadata(artifact_name: str | None = None, metadata: Mapping[str, Any] | None = None, **named: Any) -> None:
    """Record facts of an output of this step, by its name; without a name, of the only one."""
    scope = required("log_artifact_metadata()")
    scope.output_metadata.setdefault(artifact_name or "", {}).update(checked("metadata", {**(metadata or {}), **named}))


def log_model_metadata(metadata: Mapping[str, Any] | None = None, **named: Any) -> None:
    """Record facts of the model version that the run works on. Raises DefinitionError where it works on none."""
    scope = required("log_model_metadata()")
    if scope.step_run.model is None:
        raise DefinitionError("This step works on no model. Give one: @step(model=Model(name=…)) or @pipeline(model=…).")
    scope.model_metadata.update(checked("metadata", {**(metadata or {}), **named}))


def save_artifact(value: Any, name: str, *, metadata: Mapping[str, Any] | None = None, materializer: type[BaseMaterializer] | None = None) -> Artifact:
    """Save a value as the next version of an artifact, inside a step or outside. Raises MaterializerError for what cannot be saved."""
    check_name("artifact", name)
    return _save(current(), value, name, metadata, materializer)


def _save(
    scope: StepScope | None, value: Any, name: str, metadata: Mapping[str, Any] | None = None, materializer: type[BaseMaterializer] | None = None
) -> Artifact:
    client = Client() if scope is None else Client(workspace=scope.workspace)
    ledger = client.ledger
    ledger.records.format(create=True)
    digest, manifest = ledger.artifacts.save(value, materializer=materializer)
    said = {"metadata": checked("metadata", metadata)} if metadata else {}
    made_by = {"run": scope.step_run.run_id, "invocation": scope.step_run.name} if scope is not None else {}
    record = {"digest": digest, "at": time.time(), **made_by, **said}
    version = ledger.versions.claim_artifact(name, record)
    if scope is not None:
        scope.saved.append({"artifact": name, "version": version, "digest": digest, "type": manifest.type, "size": manifest.size})
    return Artifact(client, digest, name, version, record)


def load_artifact(name: str, version: int | None = None) -> Any:
    """The value of an artifact's version, by default the newest. Raises NotFound."""
    return Client().get_artifact(name, version).load()


