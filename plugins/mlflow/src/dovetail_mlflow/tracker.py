"""What steps log, as runs of MLflow."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from dovetail.components import ExperimentTracker, StepRun
from dovetail.values.encoding import Json
from dovetail_mlflow import runs
from dovetail_mlflow.checked_connection import CheckedConnection
from dovetail_mlflow.surroundings import Surroundings

_FAILED = ("failed", "cancelled", "interrupted")
_BATCH = 100  # the most that MLflow takes at once
_ODD = re.compile(r"[^\w\-./ ]")  # what the name of a param, metric or tag must not hold


class MlflowTracker(CheckedConnection, ExperimentTracker):  # type: ignore[misc]  # the interface only names the field `on_unreachable`
    """One MLflow run per step run, below one per pipeline run; a retry goes on in the same one.

    While the step runs, that run is the active one of MLflow, at this address, whatever the caller's `MLFLOW_…` variables
    and active run are: plain `mlflow.log_metric(…)` and `mlflow.autolog()` go there, and `mlflow.start_run(nested=True)`
    below it. MLflow keeps that per process, so steps that run at once each get a process.
    """

    process_wide_state = True
    libraries = frozenset({"mlflow", "mlflow-skinny"})

    experiment_name: str | None = field(default=None, metadata={"help": "The MLflow experiment; the pipeline's name when not set."})
    nested: bool = field(default=True, metadata={"help": "Put the runs of steps below one run for the pipeline run."})
    tags: Mapping[str, str] = field(default_factory=dict, metadata={"help": "Tags for every MLflow run that is made."})
    autolog: bool = field(default=False, metadata={"help": "Call mlflow.autolog() at the start of each tracked step."})

    def __post_init__(self) -> None:
        self._client: Any = None
        self._run: Any = None
        self._left: list[Any] = []
        self._params: dict[str, str] = {}
        self._clock = 0
        self._lost: Exception | None = None
        self._instead: MlflowTracker | None = None
        self._found: dict[str, dict[str, str]] = {}

    # -- the pipeline run --------------------------------------------------------------------------------------------------

    def prepare(self, run: Mapping[str, Json]) -> Json:
        self.require()
        with self.reached() as client:
            return self._prepared(client, str(run["id"]), str(run["name"]), str(run["pipeline"]))

    def _prepared(self, client: Any, run_id: str, run_name: str, pipeline: str) -> dict[str, Json]:
        """The experiment, and the run that stands for the pipeline run; the latter is ended when this process ends the run."""
        name = self.experiment_name or pipeline
        experiment = runs.experiment_id(client, name, self.artifact_location)
        if not self.nested:
            return {"experiment": name, "experiment_id": experiment}
        tags = {**self.tags, runs.RUN_ID: run_id, "dovetail.pipeline": pipeline, "dovetail.run": run_name}
        parent = runs.find_or_create(client, experiment, runs.key_of(run_id), run_name, tags).info.run_id
        runs.opened(run_id, lambda status: self._close(parent, status))
        return {"experiment": name, "experiment_id": experiment, "parent": parent}

    def _close(self, mlflow_run_id: str, status: str) -> None:
        with self.reached() as client:
            client.set_tag(mlflow_run_id, runs.STATUS, status)
            client.set_terminated(mlflow_run_id, "FAILED" if status in _FAILED else "FINISHED")

    # -- the step run ------------------------------------------------------------------------------------------------------

    def start(self, step_run: StepRun) -> None:
        from dovetail_mlflow import vendor

        surroundings = Surroundings(self.variables(), step_run.variables)
        state = vendor.FluentState.taken()
        surroundings.enter()
        self._left = [state.put_back, surroundings.leave]
        try:
            self._client = self.connected()
            self._run = self._opened(step_run)
            self._params = dict(self._run.data.params)
            surroundings.add({"MLFLOW_EXPERIMENT_ID": self._run.info.experiment_id})  # where runs that the step nests go
            vendor.begin(self.uri, self._run.info.run_id, autolog=self.autolog)
        except BaseException:
            self._leave()
            raise

    def stand_in(self, step_run: StepRun) -> bool:
        """Plain MLflow calls of the step go to the project's own store, and the step is none the wiser."""
        if self.tracking_uri is None:
            return False
        self._instead = self.aside(self.folder)
        self._instead.start(dataclasses.replace(step_run, prepared=None))
        return True

    def aside(self, folder: Path) -> MlflowTracker:
        here = {"tracking_uri": None, "username": None, "password": None, "token": None, "nested": False, "folder": folder}
        return type(self)(**{**self.configuration(), **here})

    def _opened(self, step_run: StepRun) -> Any:
        said = step_run.prepared
        prepared = dict(said) if isinstance(said, Mapping) and "experiment_id" in said else {}
        if not prepared or prepared["experiment"] != (self.experiment_name or step_run.pipeline):
            prepared = self._prepared(self._client, step_run.run_id, step_run.run_name, step_run.pipeline)
        tags = self._tags(step_run)
        if self.nested and "parent" in prepared:
            tags["mlflow.parentRunId"] = str(prepared["parent"])
        key = runs.key_of(step_run.run_id, step_run.name)
        found = runs.find_or_create(self._client, str(prepared["experiment_id"]), key, step_run.name, tags)
        if step_run.attempt > 1:
            self._client.set_tag(found.info.run_id, "dovetail.attempt", str(step_run.attempt))
        return found

    def _tags(self, step_run: StepRun) -> dict[str, str]:
        about = {
            runs.RUN_ID: step_run.run_id,
            "dovetail.run": step_run.run_name,
            "dovetail.pipeline": step_run.pipeline,
            "dovetail.step": step_run.name,
            "dovetail.attempt": str(step_run.attempt),
            "dovetail.stack": step_run.stack,
            "dovetail.tags": ",".join(step_run.tags),
            "dovetail.model": step_run.model or "",
            "dovetail.model_version": str(step_run.model_version or ""),
        }
        return {**self.tags, **{name: value for name, value in about.items() if value}}

    def log_params(self, params: Mapping[str, Json]) -> None:
        """MLflow keeps the first value of a param; another one, as of a retry, becomes the tag `dovetail.param.<name>`."""
        from mlflow.entities import Param, RunTag

        given = {_name(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in params.items()}
        new = [Param(name, value) for name, value in given.items() if name not in self._params]
        changed = [RunTag(f"dovetail.param.{name}", value) for name, value in given.items() if self._params.get(name, value) != value]
        with self._telling() as (client, run_id):
            for first in range(0, max(len(new), 1), _BATCH):
                client.log_batch(run_id, params=new[first : first + _BATCH], tags=changed if first == 0 else [])
        self._params = {**given, **self._params}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        from mlflow.entities import Metric

        self._clock = max(int(time.time() * 1000), self._clock + 1)  # MLflow takes two equal points of one moment for one
        points = [Metric(_name(name), float(value), self._clock, step or 0) for name, value in metrics.items()]
        with self._telling() as (client, run_id):
            for first in range(0, len(points), _BATCH):
                client.log_batch(run_id, metrics=points[first : first + _BATCH])

    def log_artifact(self, path: Path, folder: str) -> None:
        with self._telling() as (client, run_id):
            if path.is_dir():
                client.log_artifacts(run_id, str(path), folder or None)
            else:
                client.log_artifact(run_id, str(path), folder or None)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        said = [RunTag(_name(name), str(value)) for name, value in tags.items()]
        with self._telling() as (client, run_id):
            for first in range(0, len(said), _BATCH):
                client.log_batch(run_id, tags=said[first : first + _BATCH])

    def finish(self, step_run: StepRun) -> None:
        from dovetail_mlflow import vendor

        if self._instead is not None:
            self._instead.finish(step_run)
        if self._run is None:
            return
        run_id, status = self._run.info.run_id, step_run.status or "completed"
        failed = status in _FAILED
        try:
            with self._telling() as (client, _):
                vendor.end(run_id, failed=failed)
                client.set_tag(run_id, runs.STATUS, status)
                client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        finally:
            self._leave()

    def _leave(self) -> None:
        """Give MLflow's state and environment back as they were."""
        while self._left:
            self._left.pop(0)()
        self._run = None

    @contextmanager
    def _telling(self) -> Iterator[tuple[Any, str]]:
        """A server that was lost is not asked again: each try would hold the step up for as long as the first."""
        from dovetail_mlflow import vendor

        if self._lost is not None:
            raise self._lost
        if self._run is None:
            raise RuntimeError("log_params, log_metrics and their like come between start and finish")
        try:
            yield self._client, self._run.info.run_id
        except Exception as error:
            if vendor.is_connection_error(error):
                self._lost = ConnectionError(f"MLflow at {self.uri} could not be reached any more: {error}")
                raise self._lost from error
            raise

    # -- for people --------------------------------------------------------------------------------------------------------

    def url(self, step_run: StepRun) -> str | None:
        """The step run's page in MLflow's own interface; None where no server shows it, or the step run was not tracked."""
        if not self.is_server:
            return None
        if self._run is not None:
            return self._page(self._run.info.experiment_id, self._run.info.run_id)
        if step_run.run_id not in self._found:
            self._found[step_run.run_id] = self._pages(step_run)
        return self._found[step_run.run_id].get(step_run.name)

    def _pages(self, step_run: StepRun) -> dict[str, str]:
        from dovetail_mlflow.reaching import ask

        said = step_run.prepared
        if isinstance(said, Mapping) and "experiment_id" in said:
            experiments = [said["experiment_id"]]
        else:
            wanted = {"max_results": 1000, "filter": f"name = '{self.experiment_name or step_run.pipeline}'"}
            experiments = [each["experiment_id"] for each in ask(self, "/experiments/search", wanted).get("experiments", ())]
        message = {"experiment_ids": experiments, "filter": f"tags.`{runs.RUN_ID}` = '{step_run.run_id}'", "max_results": 1000}
        pages: dict[str, str] = {}
        while experiments:
            answer = ask(self, "/runs/search", message)
            for found in answer.get("runs", ()):
                tags = {tag["key"]: tag.get("value", "") for tag in found["data"].get("tags", ())}
                if "dovetail.step" in tags:
                    pages[tags["dovetail.step"]] = self._page(found["info"]["experiment_id"], found["info"]["run_id"])
            if not answer.get("next_page_token"):
                break
            message["page_token"] = answer["next_page_token"]
        return pages

    def _page(self, experiment: str, run_id: str) -> str:
        return f"{self.uri}/#/experiments/{experiment}/runs/{run_id}"


def _name(name: str) -> str:
    return _ODD.sub("_", name)[:250]
