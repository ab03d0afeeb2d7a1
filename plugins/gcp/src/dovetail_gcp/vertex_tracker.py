"""Mirrors step runs to Vertex AI Experiments."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from dovetail.components import ExperimentTracker, StepRun
from dovetail.errors import ConfigurationError
from dovetail.values.encoding import Json
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.labels import labels
from dovetail_gcp.vertex_client import VertexConnection
from dovetail_gcp.vertex_metrics import MetricSeries, create, number, tensorboard_of

_STATES = {"completed": "COMPLETE", "cached": "CACHED", "failed": "FAILED", "cancelled": "CANCELLED"}
_BOARD_RUN = {"schemaTitle": "google.VertexTensorboardRun", "schemaVersion": "0.0.1", "state": "LIVE"}
_OF_BOARD = "-tb-run"  # what Vertex AI's own library appends for the artifact that leads to the run's metrics
_LONGEST = 128
_EVERY = 2.0  # seconds for which metrics are collected before they are sent
_WAITING = 1000  # points that are sent at once, however soon
_WHAT = "Vertex AI Experiments"


class VertexTracker(VertexConnection, ExperimentTracker):
    """Each step run is a run of an experiment, as `aiplatform.ExperimentRun` reads it; the pipeline is the experiment.

    Parameters and last values are the run's own. The values by step are in a Tensorboard instance. What Dovetail knows of the step
    run is in the run's labels.
    """

    experiment: str | None = field(default=None, metadata={"help": "The experiment; by default the pipeline's name."})
    tensorboard: str | None = field(
        default=None, metadata={"help": "Tensorboard instance for metrics by step: its id or name; by default the region's own."}
    )
    history: bool = field(
        default=True, metadata={"help": "Keep metrics by step, in a Tensorboard instance; without it their last values alone are kept."}
    )
    on_unreachable: Literal["fail", "continue"] = field(  # type: ignore[misc]  # a field in the place of the interface's name
        default="fail", metadata={"help": "What a run does while Vertex AI cannot be reached: fail before its first step, or go on without."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._about: dict[str, Any] = {}
        self._context: dict[str, Any] = {}
        self._name = ""
        self._series: MetricSeries | None = None
        self._told = time.monotonic()

    def check(self) -> list[str]:
        return self._check_access("metadataStores")

    def prepare(self, run: Mapping[str, Json]) -> Json:
        try:
            return self._prepared(experiment_id(self.experiment or str(run["pipeline"])), str(run["pipeline"]))
        except GoogleError as error:
            raise ConfigurationError(str(error)) from error

    def _prepared(self, experiment: str, pipeline: str) -> dict[str, Json]:
        """The experiment, and where its metrics go, made where they are not there yet."""
        wanted = {
            "displayName": experiment, "description": f"Runs of the pipeline {pipeline}.",
            "schemaTitle": "system.Experiment", "schemaVersion": "0.0.1", "metadata": {"experiment_deleted": False},
        }  # fmt: skip
        asked = (f"{self._store()}/contexts", {"contextId": experiment}, wanted, _WHAT)
        try:
            create(self, *asked)
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise
            made = self.vertex("POST", f"{self.parent()}/metadataStores", _WHAT, {}, {"metadataStoreId": "default"})  # a project's first use
            self.finished(made, "The metadata store's creation")
            create(self, *asked)
        return {"experiment": experiment, "board": self._board(experiment) if self.history else None}

    def _board(self, experiment: str) -> str:
        instance = tensorboard_of(self, self.tensorboard)
        wanted = {"displayName": experiment, "labels": {"vertex_tensorboard_experiment_source": "vertex_experiment"}}
        create(self, f"{instance}/experiments", {"tensorboardExperimentId": experiment}, wanted, _WHAT)
        return f"{instance}/experiments/{experiment}"

    def start(self, step_run: StepRun) -> None:
        prepared: Any = step_run.prepared or self.prepare({"pipeline": step_run.pipeline})
        experiment, name = str(prepared["experiment"]), run_name(step_run)
        self._name = f"{self._store()}/contexts/{experiment}-{name}"
        self._about = {"_params": {}, "_metrics": {}, "_state": "RUNNING"}
        wanted: dict[str, Any] = {
            "displayName": name, "schemaTitle": "system.ExperimentRun", "schemaVersion": "0.0.1", "metadata": self._about,
            "labels": _labels(step_run), "description": f"Step {step_run.name} of run {step_run.run_name}"[:1000],
        }  # fmt: skip
        self._context = wanted
        if create(self, f"{self._store()}/contexts", {"contextId": f"{experiment}-{name}"}, wanted, _WHAT):
            self._add(f"{self._store()}/contexts/{experiment}", "Children", {"childContexts": [self._name]})
        else:
            self._about = {**self.vertex("GET", self._name, _WHAT).get("metadata", {}), "_state": "RUNNING"}
            self._context = {**wanted, "metadata": self._about}
            self._say()
        if prepared.get("board"):
            self._open_series(str(prepared["board"]), name, step_run)

    def _open_series(self, board: str, name: str, step_run: StepRun) -> None:
        run = f"{board}/runs/{name}"
        self._series = MetricSeries(self, run)
        self._series.open(board, name, f"Step {step_run.name} of run {step_run.run_name}"[:1000])
        wanted = {
            **_BOARD_RUN, "displayName": name, "uri": f"https://{self.location}-aiplatform.googleapis.com/v1/{run}",
            "metadata": {"resourceName": run, "vertex_experiment_tracking": True},
        }  # fmt: skip
        artifact = f"{self._name.rpartition('/')[2]}{_OF_BOARD}"
        if create(self, f"{self._store()}/artifacts", {"artifactId": artifact}, wanted, _WHAT):
            self._add(self._name, "ArtifactsAndExecutions", {"artifacts": [f"{self._store()}/artifacts/{artifact}"]})

    def _add(self, context: str, what: str, body: Mapping[str, Any]) -> None:
        self.vertex("POST", f"{context}:addContext{what}", _WHAT, body, again=True)

    def log_params(self, params: Mapping[str, Json]) -> None:
        self._about["_params"] |= {name: _said(value) for name, value in params.items()}
        self._say()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._about["_metrics"] |= {name: number(value) for name, value in metrics.items()}
        late = time.monotonic() - self._told > _EVERY
        if self._series is not None and (self._series.add(metrics, step) >= _WAITING or late):
            self._series.send()
        if late:
            self._say()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._about["_tags"] = {**self._about.get("_tags", {}), **tags}
        self._say()

    def finish(self, step_run: StepRun) -> None:
        self._about["_state"] = _STATES.get(str(step_run.status), "FAILED")
        try:
            if self._series is not None:
                self._series.send()
        finally:
            self._say()
            self._series = None

    def url(self, step_run: StepRun) -> str | None:
        prepared: Any = step_run.prepared or {}
        experiment = prepared.get("experiment") or experiment_id(self.experiment or step_run.pipeline)
        return self.console(f"experiments/locations/{self.location}/experiments/{experiment}/runs/{experiment}-{run_name(step_run)}")

    def _say(self) -> None:
        """The whole context, as a service that takes no account of the mask would clear what is not said."""
        self.vertex("PATCH", self._name, _WHAT, {**self._context, "name": self._name, "metadata": self._about}, {"updateMask": "metadata"})
        self._told = time.monotonic()

    def _store(self) -> str:
        return f"{self.parent()}/metadataStores/default"


def experiment_id(name: str) -> str:
    return identifier(name, 50)


def run_name(step_run: StepRun) -> str:
    """The same for every attempt at a step run, and no other's."""
    mark = hashlib.sha256(step_run.name.encode()).hexdigest()[:6]
    return f"{identifier(step_run.name, 30)}-{identifier(step_run.run_id, 32)}-{mark}"


def identifier(text: str, longest: int) -> str:
    """Lower-case letters, digits and '-'; what had to be changed much ends in a mark of its own."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain and len(plain) <= longest and re.fullmatch(r"[A-Za-z0-9_. -]+", text):
        return plain
    return f"{plain[: longest - 7].strip('-') or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _labels(step_run: StepRun) -> dict[str, str]:
    said = {
        "run": step_run.run_id,
        "run-name": step_run.run_name,
        "pipeline": step_run.pipeline,
        "step": step_run.name,
        "stack": step_run.stack or "",
    }
    model = {"model": step_run.model or "", "model-version": str(step_run.model_version or "")}
    return labels({f"dovetail.{name}": value for name, value in {**said, **model}.items() if value})


def _said(value: Json) -> Any:
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value == value else json.dumps(value, ensure_ascii=False)
