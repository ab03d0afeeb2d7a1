"""Runs, step runs, artifacts and models as a person asks for them. They read records, and import no plugin to do so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from dovetail.errors import Corrupt, NotFound, StoreError
from dovetail.execution.finishing import last_values
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.shapes import odd_field
from dovetail.planning.workspace import Workspace
from dovetail.values.artifacts import Manifest
from dovetail.values.encoding import decode
from dovetail.values.plan import Plan, PlanStep, Status


class Query(Protocol):
    """What views ask of the client that made them."""

    ledger: Ledger
    workspace: Workspace

    def finished(self, run_id: str) -> Mapping[str, Any] | None: ...
    def later(self, kind: str, name: str) -> list[dict[str, Any]]: ...
    def produced(self, digest: str) -> list[tuple[str, str, str]]: ...
    def consumed(self, digest: str) -> list[tuple[str, str, str]]: ...
    def run(self, run_id: str) -> Run: ...
    def list_runs(self, *, limit: int | None) -> list[Run]: ...


@dataclass(frozen=True)
class Artifact:
    """One version of an artifact. `name` and `version` are None for a value that has only its content."""

    query: Query
    digest: str
    name: str | None = None
    version: int | None = None
    record: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<artifact {self.name or self.digest[:12]}{f' version {self.version}' if self.version else ''}>"

    @cached_property
    def manifest(self) -> Manifest:
        """Raises StoreError where the payload was deleted."""
        return self.query.ledger.artifacts.get(self.digest)

    def load(self) -> Any:
        """The value, verified. Raises MaterializerError where it cannot be read, Corrupt where its bytes are not what was written."""
        return self.query.ledger.artifacts.load(self.digest)

    @property
    def type(self) -> str:
        return self.manifest.type

    @property
    def kind(self) -> str:
        """What it is to a person: data, model, statistics, …"""
        return self.manifest.artifact_type

    @property
    def size(self) -> int:
        """Bytes of payload, those of items included."""
        return self.manifest.size + sum(Artifact(self.query, item).size for item in self.manifest.items or ())

    @property
    def metadata(self) -> dict[str, Any]:
        """What the materializer found, then what the step said, then what was added later."""
        said = dict(self.manifest.metadata)
        said.update((self.record or {}).get("metadata", {}))
        if self.name is not None:
            for change in self.query.later("artifact", f"{self.name}/{self.version}"):
                said.update(change.get("metadata", {}))
        return said

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple((self.record or {}).get("tags", ()))

    @property
    def uri(self) -> str:
        """The payload's folder: a path where the store is local, else its place in the store."""
        return self.query.ledger.artifacts.uri(self.digest)

    @property
    def path(self) -> Path:
        """The payload as a verified local folder."""
        return self.query.ledger.artifacts.folder(self.digest)

    @property
    def producer(self) -> StepRun | None:
        """The step run that gave it first; None for a value from outside."""
        run_id = (self.record or {}).get("run")
        if run_id is not None and "invocation" in (self.record or {}):
            return self.query.run(run_id).steps[str((self.record or {})["invocation"])]
        found = self.query.produced(self.digest)
        return self.query.run(found[0][0]).steps[found[0][1]] if found else None

    @property
    def consumers(self) -> list[StepRun]:
        """The step runs that took it."""
        seen = dict.fromkeys((run, step) for run, step, _ in self.query.consumed(self.digest))
        return [self.query.run(run).steps[step] for run, step in seen]

    @property
    def visualizations(self) -> Mapping[str, str]:
        """Pictures and pages that were saved with it, by name, with their kind."""
        return self.manifest.visualizations

    def visualization(self, name: str) -> bytes:
        return self.query.ledger.artifacts.visualization(self.digest, name)


@dataclass(frozen=True)
class StepRun:
    """One step of one run, as it stands now or as it ended."""

    query: Query
    run: Run
    name: str

    def __repr__(self) -> str:
        return f"<step run {self.name} of {self.run.name}: {self.status.value}>"

    @cached_property
    def outcome(self) -> Mapping[str, Any] | None:
        """The committed record; None while there is none."""
        return self.query.ledger.run(self.run.id).outcome(self.name)

    @property
    def status(self) -> Status:
        if self.outcome is not None:
            return Status(self.outcome["status"])
        return Status.RUNNING if self.query.ledger.run(self.run.id).attempts(self.name) else Status.INITIALIZING

    @property
    def outputs(self) -> Mapping[str, Artifact]:
        found = (self.outcome or {}).get("outputs", {})
        return Named(
            "output", {name: Artifact(self.query, o["digest"], o.get("artifact"), o.get("version"), self._produced(o)) for name, o in found.items()}
        )

    def _produced(self, output: Mapping[str, Any]) -> Mapping[str, Any]:
        cached = (self.outcome or {}).get("cached")
        made_by = {"run": cached["run"], "invocation": cached["invocation"]} if cached else {"run": self.run.id, "invocation": self.name}
        return {**output, **made_by}

    @property
    def output(self) -> Artifact:
        """Its only output. Raises StoreError where it has none or several."""
        outputs = self.outputs
        if len(outputs) != 1:
            raise StoreError(f"Step '{self.name}' has {len(outputs)} outputs ({', '.join(outputs)}); take one by name from .outputs.")
        return next(iter(outputs.values()))

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What it was given, by parameter: artifacts, parameters' values, and collections of these."""
        return Named("input", {name: self._input(given) for name, given in (self.outcome or {}).get("inputs", {}).items()})

    def _input(self, given: Mapping[str, Any]) -> Any:
        if "value" in given:
            return decode(given["value"])
        if "artifact" in given:
            return Artifact(self.query, given["artifact"], given.get("name"), given.get("version"))
        if "list" in given:
            return [self._input(item) for item in given["list"]]
        return {key: self._input(item) for key, item in given.get("dict", {}).items()}

    @property
    def parameters(self) -> dict[str, Any]:
        return {name: decode(given["value"]) for name, given in (self.outcome or {}).get("inputs", {}).items() if "value" in given}

    @property
    def params(self) -> dict[str, Any]:
        """What it logged by log_params."""
        return {name: decode(value) for name, value in (self.outcome or {}).get("params", {}).items()}

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return last_values(self.outcome or {})

    def metric_history(self, name: str) -> list[tuple[float, int | None, datetime]]:
        """(value, step, time) in the order of logging. Raises NotFound for a metric that was not logged."""
        history = (self.outcome or {}).get("metrics", {})
        if name not in history:
            raise NotFound("metric", name, history)
        return [(value, step, datetime.fromtimestamp(at, timezone.utc)) for value, step, at in history[name]]

    @property
    def metadata(self) -> dict[str, Any]:
        return {name: decode(value) for name, value in (self.outcome or {}).get("metadata", {}).items()}

    @property
    def error(self) -> Mapping[str, str] | None:
        """`type`, `message` and `traceback` of what it raised."""
        found: Mapping[str, str] | None = (self.outcome or {}).get("error")
        return found

    @property
    def why(self) -> str | None:
        """Why it was skipped, cached or interrupted."""
        outcome = self.outcome or {}
        if "cached" in outcome:
            return f"taken from run {outcome['cached'].get('run_name') or outcome['cached']['run']}"
        found: str | None = outcome.get("why")
        return found

    @property
    def seconds(self) -> float | None:
        return self.outcome["ended"] - self.outcome["started"] if self.outcome is not None else None

    @property
    def attempts(self) -> int:
        """How often it was tried in this run; 0 where it was not run."""
        outcome = self.outcome or {}
        last = 0 if "taken_from" in outcome else int(outcome.get("attempt", 0))
        return max([last, *self.query.ledger.run(self.run.id).attempts(self.name)])

    @property
    def children(self) -> list[StepRun]:
        """The children of a mapped step, in the order of the items."""
        expansion = self.query.ledger.run(self.run.id).expansion(self.name) or {}
        return [StepRun(self.query, self.run, child) for child in expansion.get("children", ())]

    @property
    def planned(self) -> PlanStep | None:
        """What was planned of it; for a child of a mapped step, of its parent."""
        steps = {step.invocation: step for step in self.run.plan.steps}
        return steps.get(self.name) or steps.get(self.name.rpartition(".")[0])

    def log(self) -> str:
        """All that it printed and logged, of every attempt; of the run that it was taken from, where it is cached."""
        cached = (self.outcome or {}).get("cached")
        if cached:
            return self.query.run(cached["run"]).steps[cached["invocation"]].log()
        records = self.query.ledger.run(self.run.id)
        return "".join(text for attempt in records.attempts(self.name) for _, text in records.log(self.name, attempt))


@dataclass(frozen=True)
class Run:
    """One run of a pipeline, as it stands now or as it ended."""

    query: Query
    id: str

    def __repr__(self) -> str:
        return f"<run {self.name}: {self.status.value}>"

    @cached_property
    def header(self) -> Mapping[str, Any]:
        finished = self.query.finished(self.id)
        if finished is not None:
            return finished
        records = self.query.ledger.run(self.id)
        found = records.header()
        if found is None:
            raise NotFound("run", self.id)
        path = f"{records.base}/run.json"
        odd = odd_field(path, found)
        if odd is not None:
            raise Corrupt(f"The record {path} is not what was written: {odd}. `dovetail store verify --repair` moves it aside.")
        return found

    @cached_property
    def plan(self) -> Plan:
        """What was planned, with the reasons."""
        return self.query.ledger.run(self.id).plan()

    @cached_property
    def engine_address(self) -> str | None:
        """What an engine calls the graph that the run was handed over as; None where a process drives the run."""
        handed = self.query.ledger.run(self.id).handed_over()
        return handed.get("address") if handed is not None else None

    @property
    def name(self) -> str:
        return str(self.header["name"])

    @property
    def pipeline(self) -> str:
        return str(self.header["pipeline"])

    @property
    def stack(self) -> str:
        return str(self.header["stack"])

    @property
    def status(self) -> Status:
        finished = self.header if "status" in self.header else self.query.finished(self.id)
        if finished is not None:
            return Status(finished["status"])
        return Status.RUNNING if self.query.ledger.run(self.id).invocations() else Status.INITIALIZING

    @property
    def created(self) -> datetime:
        return datetime.fromtimestamp(self.header["created"], timezone.utc)

    @property
    def ended(self) -> datetime | None:
        finished = self.query.finished(self.id)
        return datetime.fromtimestamp(finished["ended"], timezone.utc) if finished is not None else None

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.created).total_seconds() if self.ended is not None else None

    @property
    def tags(self) -> tuple[str, ...]:
        tags = list(self.header.get("tags", ()))
        for change in self.query.later("run", self.id):
            tags = [tag for tag in tags if tag not in change.get("untag", ())] + list(change.get("tag", ()))
        return tuple(dict.fromkeys(tags))

    @property
    def parameters(self) -> dict[str, Any]:
        return {name: decode(value) for name, value in self.header.get("parameters", {}).items()}

    @property
    def models(self) -> Mapping[str, int]:
        """The model versions it works on, by name."""
        started = None if "status" in self.header else self.query.ledger.run(self.id).started()
        models = (started or self.header).get("models", {})
        return {name: version for name, version in models.items() if version is not None}

    @property
    def resumes(self) -> str | None:
        """The id of the run that it resumes."""
        return self.header.get("resumes")

    @property
    def scheduled_for(self) -> datetime | None:
        """The moment at which its schedule was to start it; None for a run that no schedule made."""
        found = self.header.get("scheduled_for")
        return datetime.fromtimestamp(found, timezone.utc) if found is not None else None

    @cached_property
    def steps(self) -> Mapping[str, StepRun]:
        """By invocation, in the order of the pipeline; children of mapped steps follow their parent."""
        finished = self.query.finished(self.id)
        names = list(finished["steps"]) if finished is not None else [step.invocation for step in self.plan.steps]
        return Named("step", {name: StepRun(self.query, self, name) for name in names})

    @property
    def error(self) -> str | None:
        """The first failure, as one sentence."""
        for step in self.steps.values():
            if step.error is not None:
                return f"Step '{step.name}' failed: {step.error['type'].rpartition(':')[2]}: {step.error['message']}"
        return None


class Named(Mapping[str, Any]):
    """A mapping whose missing names raise NotFound, a KeyError that knows near names."""

    def __init__(self, kind: str, members: Mapping[str, Any]) -> None:
        self._kind = kind
        self._members = dict(members)

    def __getitem__(self, name: str) -> Any:
        if name not in self._members:
            raise NotFound(self._kind, name, self._members)
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self._members))}}}"


@dataclass(frozen=True)
class Pipeline:
    """All runs of one pipeline's name, newest first."""

    name: str
    runs: list[Run]

    @property
    def last_run(self) -> Run | None:
        return self.runs[0] if self.runs else None

    @property
    def last_successful_run(self) -> Run | None:
        return next((run for run in self.runs if run.status.is_success), None)
