"""The client: stacks, runs, artifacts and models of a project, read from the ledger of a stack."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dovetail.client.models import ModelVersion, RegisteredModel
from dovetail.client.stack_view import StackView
from dovetail.client.views import Artifact, Pipeline, Run
from dovetail.errors import ConfigurationError, Corrupt, NotFound, near
from dovetail.execution.finishing import close_if_over
from dovetail.execution.overlap import graph_of
from dovetail.execution.scope import current
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.planning.readings import artifact_reading, model_reading
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.values.model import ModelStage
from dovetail.values.plan import Status

if TYPE_CHECKING:
    from dovetail.client.deployments import DeploymentRecords, RunningDeployment
    from dovetail.client.index import Index
    from dovetail.components.job import RunningJob
    from dovetail.stack.store import StackStore

_POLL = 0.2  # seconds between looks at a run that goes on


class Client:
    """Queries read the active stack's ledger, or that of `stack`."""

    def __init__(self, stack: str | None = None, *, workspace: Workspace | None = None) -> None:
        scope = current()
        self.workspace = workspace or (scope.workspace if scope is not None and stack is None else open_workspace(stack))
        self.ledger: Ledger = self.workspace.ledger
        self.unreadable: dict[str, str] = {}
        self._opened: Index | None = None

    @property
    def index(self) -> Index:
        if self._opened is None:
            from dovetail.client.index import Index

            self._opened = Index(self.ledger, self._read_run)
        return self._opened

    # -- stacks --------------------------------------------------------------------------------------------------------

    @property
    def active_stack(self) -> StackView:
        return StackView(self.workspace)

    def activate_stack(self, name: str) -> StackView:
        """Make a stack the active one for this project, and this client read its ledger. Raises NotFound."""
        self._stacks.set_active(name)
        self.workspace = self.workspace.on(self._stacks.get(name))
        self.ledger, self._opened = self.workspace.ledger, None
        return self.active_stack

    def get_stack(self, name: str) -> StackView:
        return StackView(self.workspace.on(self._stacks.get(name)))

    def list_stacks(self) -> list[str]:
        return list(self._stacks.list())

    @property
    def _stacks(self) -> StackStore:
        from dovetail.stack.store import StackStore

        return StackStore(self.workspace.project, self.workspace.registry)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def list_runs(
        self,
        pipeline: str | None = None,
        status: Status | str | None = None,
        stack: str | None = None,
        tag: str | None = None,
        since: datetime | str | None = None,
        limit: int | None = 50,
    ) -> list[Run]:
        """Runs, newest first. `since`: a moment, or an ISO date such as `"2026-01-31"`.

        A record that cannot be read hides no other; `unreadable` then tells of it, by run. Raises ConfigurationError for a
        status that there is not, and for a moment or limit that is none.
        """
        since = _moment(since)
        status = _status(status)
        if limit is not None and limit < 0:
            raise ConfigurationError(f"limit={limit} cannot be: give the most runs to list, or None for all.")
        fitting = (run for run in self.each_run(since) if _fits(run, pipeline, status, stack, tag))
        return list(itertools.islice(fitting, limit))

    def get_run(self, which: str) -> Run:
        """A run by its id, a unique beginning of it, or its name (the newest of that name); `"latest"` is the newest of all. Raises NotFound."""
        if layout.is_run_id(which) and self.ledger.run(which).header() is not None:
            return Run(self, which)
        starts = [run_id for run_id in self.index.run_ids() if run_id.startswith(which)]
        if len(starts) > 1:
            raise NotFound("single run that begins with", which, starts, f"{len(starts)} do; give more characters.")
        if starts and self._begun(starts[0]):
            return Run(self, starts[0])
        names: list[str] = []
        for run in self.each_run():
            if which in (run.name, "latest"):
                return run
            names.append(run.name)
        raise NotFound("run", which, names, f"These are the runs of stack '{self.workspace.stack.name}'; choose another with --stack.")

    def _begun(self, run_id: str) -> bool:
        """False for what a writer left that died before anybody could see its run."""
        try:
            return self.ledger.run(run_id).header() is not None or self.finished(run_id) is not None
        except Corrupt:
            return True

    def each_run(self, since: datetime | None = None) -> Iterator[Run]:
        """Every run that can be read, newest first, read as far as the caller asks."""
        for run_id in self.index.run_ids(since):
            try:
                run = Run(self, run_id)
                if run.header:
                    yield run
            except Corrupt as error:
                self.unreadable[run_id] = str(error)
            except NotFound:
                continue  # its writer died before it began

    def get_pipeline(self, name: str) -> Pipeline:
        """Raises NotFound for a name that no run has."""
        runs = self.list_runs(pipeline=name, limit=None)
        if not runs:
            raise NotFound("pipeline", name, self.list_pipelines(), "A pipeline is known once it has run.")
        return Pipeline(name, runs)

    def list_pipelines(self) -> list[str]:
        return sorted({run.pipeline for run in self.list_runs(limit=None)})

    def wait(self, run: Run | str, timeout: float | None = None) -> Run:
        """Wait until a run has ended. Raises TimeoutError after `timeout` seconds."""
        run_id = self._id(run)
        until = time.monotonic() + timeout if timeout is not None else None
        while self.finished(run_id) is None:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"Run {run_id} had not ended after {timeout:g} s.")
            time.sleep(_POLL)
        return Run(self, run_id)

    def cancel(self, run: Run | str, reason: str = "asked by the client") -> Run:
        """Ask a run to stop; who drives it notices within seconds. Raises ConfigurationError for a run that has ended.

        Workers elsewhere that have outlived an interrupted run are asked too.
        """
        run_id = self._id(run)
        if self.finished(run_id) is not None and not self._has_workers(run_id):
            raise ConfigurationError(f"Run {run_id} has ended already ({Run(self, run_id).status.value}), so there is nothing to cancel.")
        records = self.ledger.run(run_id)
        records.ask_to_cancel(reason)
        handed = records.handed_over()
        if handed is not None and records.coordinator_gone(records.header() or {}):
            graph = self._graph(run_id, handed)
            if graph is not None:
                graph.stop()
        return Run(self, run_id)

    def _has_workers(self, run_id: str) -> bool:
        """Whether a worker of a run that was closed without it still renews its lease."""
        records = self.ledger.run(run_id)
        left = [name for name in records.invocations() if (records.outcome(name) or {}).get("status") == Status.INTERRUPTED]
        attempts = [(name, number) for name in left for number in records.attempts(name)]
        return any((silent := records.silence_of(*attempt)) is not None and silent < layout.LEASE for attempt in attempts)

    def resume(self, run: Run | str, *, wait: bool = True) -> Run:
        """Start a new run, in a process of its own, that takes over what this one committed and does the rest.

        Raises ConfigurationError for a run that completed or still goes on.
        """
        old = Run(self, self._id(run))
        if not old.status.is_final:
            raise ConfigurationError(f"Run {old.name} still goes on; wait for it, or cancel it first.")
        from dovetail.execution.driving import resume_in_child  # with planner and driver, which queries do without

        made = resume_in_child(old.id, self.workspace)
        return self.wait(made) if wait else Run(self, made)

    def delete(self, run: Run | str) -> None:
        """Delete a run's records, and with them the versions that it made. Artifacts stay while anything else reaches them.

        Raises ConfigurationError for a run that goes on, or that made a model version which is in staging or production.
        """
        run_id = self._id(run)
        if self.finished(run_id) is None:
            raise ConfigurationError(f"Run {run_id} has not ended; cancel it first.")
        for name, number in Run(self, run_id).models.items():
            made_here = (self.ledger.versions.model(name, number) or {}).get("run") == run_id
            stage = self.ledger.versions.stages(name).get(number)
            if made_here and stage in ("staging", "production"):
                raise ConfigurationError(
                    f"Run {run_id} made version {number} of model '{name}', which is in {stage}. "
                    f"Promote another version first, or archive it: dovetail models promote {name} {number} archived."
                )
        self.ledger.change({"delete": True, "run": run_id})
        self.ledger.store.delete_folder(layout.run(run_id))
        self.index.forget_run(run_id)

    def tag(self, run: Run | str, *tags: str) -> None:
        self.ledger.change({"run": self._id(run), "tag": list(tags)})

    def _id(self, run: Run | str) -> str:
        return run.id if isinstance(run, Run) else self.get_run(run).id

    # -- artifacts, models, deployments --------------------------------------------------------------------------------

    def get_artifact(self, name: str, version: int | None = None) -> Artifact:
        """A version of an artifact, by default the newest. Raises NotFound."""
        version = int(version) if isinstance(version, str) and version.isdecimal() else version
        found = self._artifact(name, version)
        scope = current()
        if scope is not None:
            scope.note(artifact_reading(name, version, found.digest))
        return found

    def _artifact(self, name: str, version: int | None) -> Artifact:
        versions = self.ledger.versions
        if version is not None:
            record = versions.artifact(name, version)
            if record is None:
                raise NotFound(f"version of artifact '{name}'", str(version), (str(number) for number, _ in versions.artifacts(name)))
            return self._version_of(name, version, record)
        for number, record in versions.artifacts(name):
            return self._version_of(name, number, record)
        raise NotFound("artifact", name, self.ledger.versions.artifact_names(), f"These are those of stack '{self.workspace.stack.name}'.")

    def _version_of(self, name: str, number: int, record: Mapping[str, Any]) -> Artifact:
        said = record
        if record.get("run") is not None:
            outcome = self.ledger.run(record["run"]).outcome(record["invocation"]) or {}
            output = outcome.get("outputs", {}).get(record.get("output"), {})
            said = {**output, **record}
        return Artifact(self, record["digest"], name, number, said)

    def list_artifacts(self, name: str | None = None) -> list[Artifact]:
        """The newest version of every artifact, or all versions of one, newest first."""
        if name is not None:
            return [self._version_of(name, number, record) for number, record in self.ledger.versions.artifacts(name)]
        newest = ((known, next(self.ledger.versions.artifacts(known), None)) for known in self.ledger.versions.artifact_names())
        return [self._version_of(known, *found) for known, found in newest if found is not None]

    def get_model(self, name: str) -> RegisteredModel:
        """Raises NotFound."""
        versions = [ModelVersion(self, name, number, record) for number, record in self.ledger.versions.models(name)]
        if not versions:
            raise NotFound("model", name, self.list_models())
        return RegisteredModel(name, versions)

    def list_models(self) -> list[str]:
        return self.ledger.versions.model_names()

    def get_model_version(self, name: str, version: int | str | None = None) -> ModelVersion:
        """A version by number or stage, by default the newest. Raises NotFound. A step that asks is run again when the answer changes."""
        scope = current()
        version = version.value if isinstance(version, ModelStage) else version
        try:
            number = self.ledger.versions.resolve_model(name, version)
        except NotFound:
            if scope is not None:
                scope.note(model_reading(name, version, None))
            raise
        if scope is not None:
            scope.note(model_reading(name, version, number))
        return ModelVersion(self, name, number, self.ledger.versions.model(name, number) or {})

    @property
    def _deployments(self) -> DeploymentRecords:
        from dovetail.client.deployments import DeploymentRecords

        found: DeploymentRecords | None = self.active_stack.model_deployer
        return DeploymentRecords(self.workspace) if found is None else found

    def list_deployments(self) -> list[RunningDeployment]:
        return self._deployments.list_deployments()

    def get_deployment(self, name: str) -> RunningDeployment:
        return self._deployments.get_deployment(name)

    # -- what views ask ------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        return Run(self, run_id)

    def finished(self, run_id: str) -> Mapping[str, Any] | None:
        return self.index.record(run_id)

    def later(self, kind: str, name: str) -> list[dict[str, Any]]:
        return self.index.changes(kind, name)

    def produced(self, digest: str) -> list[tuple[str, str, str]]:
        self.index.fill()
        return self.index.producers(digest)

    def consumed(self, digest: str) -> list[tuple[str, str, str]]:
        self.index.fill()
        return self.index.consumers(digest)

    def _read_run(self, run_id: str) -> Mapping[str, Any] | None:
        return close_if_over(self.ledger, run_id, partial(self._graph, run_id))

    def _graph(self, run_id: str, handed: Mapping[str, Any]) -> RunningJob | None:
        """What an engine runs of a run that was handed over to it; None where its plugin is not here."""
        found: RunningJob | None = graph_of(self.workspace, run_id, handed)
        return found


def _moment(since: datetime | str | None) -> datetime | None:
    if not isinstance(since, str):
        return since
    try:
        return datetime.fromisoformat(since)
    except ValueError:
        raise ConfigurationError(f"since={since!r} is no moment; give a datetime, or an ISO date such as '2026-01-31'.") from None


def _status(status: Status | str | None) -> Status | None:
    try:
        return Status(status) if status is not None else None
    except ValueError:
        raise ConfigurationError(f"There is no status {status!r}. {near(str(status), [known.value for known in Status])}") from None


def _fits(run: Run, pipeline: str | None, status: Status | str | None, stack: str | None, tag: str | None) -> bool:
    checks: Iterator[bool] = iter(
        (
            pipeline is None or run.pipeline == pipeline,
            stack is None or run.stack == stack,
            status is None or run.status == status,
            tag is None or tag in run.tags,
        )
    )
    return all(checks)
