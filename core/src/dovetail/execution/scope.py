"""The step run that the calling code belongs to, and what that code says and asks while it runs."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.errors import DefinitionError
from dovetail.ledger.ledger import Ledger
from dovetail.planning.keys import used
from dovetail.planning.workspace import Workspace
from dovetail.values.context import StepRun
from dovetail.values.encoding import NotEncodable, encode
from dovetail.values.plan import Status

_current: contextvars.ContextVar[StepScope | Literal["none"] | None] = contextvars.ContextVar("dovetail_step", default=None)
_active: list[StepScope] = []
_log = logging.getLogger("dovetail")


@dataclass(eq=False)  # a scope is itself: taking one out of a list must not look into others that change meanwhile
class StepScope:
    """Collects for the outcome what one attempt logs, saves and asks. `make_tracker` opens the mirror when it is first needed.

    `pins`: `name@stage` → the model version that the run's plan found there. `model_wanted`: the version or stage that the step asks for itself.
    `options`: the step's.
    """

    workspace: Workspace
    step_run: StepRun
    make_tracker: Callable[[], ExperimentTracker | None] = lambda: None
    pins: Mapping[str, int] = field(default_factory=dict)
    model_wanted: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, list[list[Any]]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    output_metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    model_metadata: dict[str, Any] = field(default_factory=dict)
    saved: list[dict[str, Any]] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)
    opened: dict[str, list[int] | None] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    tracker_errors: list[str] = field(default_factory=list)
    at_end: list[Callable[[], None]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    unsent: str = ""
    chunks: int = 0
    flushing: threading.Lock = field(default_factory=threading.Lock)
    thread: int = 0
    others: frozenset[threading.Thread] = frozenset()
    _tracker: ExperimentTracker | None = None
    _standing_in: ExperimentTracker | None = None
    _tracker_made: bool = False

    def note(self, reading: dict[str, Any]) -> None:
        """Keep a reading in place of an earlier one of the same question: what the step itself changed is what holds later."""
        question = {name: value for name, value in reading.items() if name not in ("answer", "stat")}
        self.readings = [earlier for earlier in self.readings if not question.items() <= earlier.items()]
        self.readings.append(reading)

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.params.update(params)
        self.mirror(lambda tracker: tracker.log_params(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        now = time.time()
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append([value, step, now])
        self.mirror(lambda tracker: tracker.log_metrics(metrics, step))

    def log_file(self, path: Path, folder: str) -> bool:
        """Hand a file or folder to the tracker; False where none keeps files."""
        tracker = self.opened_tracker()
        if tracker is None or type(tracker).log_artifact is ExperimentTracker.log_artifact:
            return False
        self.mirror(lambda tracker: tracker.log_artifact(path, folder))
        return True

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags of this step run with its metadata, and tell them to a tracker that has tags."""
        self.metadata.update(tags)
        tracker = self.opened_tracker()
        if tracker is not None and type(tracker).set_tags is not ExperimentTracker.set_tags:
            self.mirror(lambda tracker: tracker.set_tags(tags))

    def mirror(self, tell: Callable[[ExperimentTracker], None]) -> None:
        """Tell the stack's tracker; what it raises is noted and harms nothing."""
        try:
            tracker = self.tracker()
            if tracker is not None:
                tell(tracker)
        except Exception as error:  # whatever a vendor's client raises
            self._note_tracker_error(error)

    def opened_tracker(self) -> ExperimentTracker | None:
        """The open mirror; None also where it cannot be opened, which is noted."""
        self.mirror(lambda tracker: None)
        return self._tracker

    def tracker(self) -> ExperimentTracker | None:
        if not self._tracker_made:
            self._tracker_made = True
            tracker = self.make_tracker()
            prepared = self.step_run.prepared
            if tracker is not None and isinstance(prepared, dict) and "unreachable" in prepared:
                self.tracker_errors.append(str(prepared["unreachable"]))
                self._stand_in(tracker)
            elif tracker is not None:
                self._start(tracker)
        return self._tracker

    def _start(self, tracker: ExperimentTracker) -> None:
        try:
            tracker.start(self.step_run)
        except Exception:
            self._stand_in(tracker)
            raise
        self._tracker = tracker

    def _stand_in(self, tracker: ExperimentTracker) -> None:
        if tracker.stand_in(self.step_run):
            self._standing_in = tracker

    def attend(self) -> None:
        """Let the tracker's tool know, in this process, that steps of a stack with it run."""
        if "experiment_tracker" not in self.workspace.stack.components:
            return
        try:
            tracker = self.workspace.stack.build(ExperimentTracker)
            if tracker is not None:
                tracker.attend()
        except Exception as error:  # whatever a vendor's client raises
            self._note_tracker_error(error)

    def leave(self) -> None:
        """Call what was asked to be called once the step's function has ended, the last asked first."""
        while self.at_end:
            try:
                self.at_end.pop()()
            except Exception as error:  # whatever a vendor's client raises
                self._note_tracker_error(error)

    def end(self, status: Status, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Close the mirror, if it was opened, which is told what the step took and gave, as its outcome has it."""
        if self._tracker is not None:
            self.step_run = replace(self.step_run, status=status.value)
            self.mirror(lambda tracker: tracker.finish(with_artifacts(self.step_run, self.workspace.ledger, inputs, outputs)))
        elif self._standing_in is not None:
            with contextlib.suppress(Exception):  # what it stands in for was lost before, which is noted
                self._standing_in.finish(replace(self.step_run, status=status.value))

    def _note_tracker_error(self, error: Exception) -> None:
        sentence = f"{type(error).__name__}: {error}"
        if sentence not in self.tracker_errors:
            self.tracker_errors.append(sentence)
            _log.warning("The experiment tracker failed in step '%s', and the record keeps what was logged: %s", self.step_run.name, sentence)


def with_artifacts(step_run: StepRun, ledger: Ledger, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> StepRun:
    """The step run with the artifacts that it took and gave, for its tracker."""
    artifacts = ledger.artifacts

    def told(digest: str, name: Any, version: Any) -> dict[str, Any]:
        manifest = artifacts.get(digest)
        kind = manifest.artifact_type
        return {"artifact": name, "version": version, "digest": digest, "type": manifest.type, "kind": kind, "uri": artifacts.uri(digest)}

    taken = {name: [told(each["artifact"], each.get("name"), each.get("version")) for each in used(given)] for name, given in inputs.items()}
    gave = {name: told(output["digest"], output.get("artifact"), output.get("version")) for name, output in outputs.items()}
    return replace(step_run, inputs={name: each for name, each in taken.items() if each}, outputs=gave)


def current() -> StepScope | None:
    """The scope of the calling code; in a thread that began after a step did, that step's, if it is the only one running."""
    scope = _current.get()
    if scope is None and len(_active) == 1 and threading.current_thread() not in _active[0].others:
        return _active[0]
    return scope if scope != "none" else None


def running(run_id: str) -> list[StepScope]:
    """The scopes of a run whose step functions are executing in this process."""
    return [scope for scope in list(_active) if scope.step_run.run_id == run_id]


class entered:  # noqa: N801  # reads as a sentence: with entered(scope)
    """The calling code belongs to the scope until the block ends."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: StepScope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._scope.thread = threading.get_ident()
        self._scope.others = frozenset(threading.enumerate())
        self._token = _current.set(self._scope)
        _active.append(self._scope)

    def __exit__(self, *_: object) -> None:
        _active.remove(self._scope)
        _current.reset(self._token)


class apart:  # noqa: N801  # reads as a sentence: with apart()
    """What is done here belongs to no step, though one may be running elsewhere: Dovetail's own work in its own threads."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _current.set("none")

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def required(what: str) -> StepScope:
    scope = current()
    if scope is None:
        raise RuntimeError(f"{what} has a meaning only while a step of a run is executing; here no step is.")
    return scope


def checked(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON for what a step logs; raises DefinitionError naming the entry that is none."""
    encoded = {}
    for name, value in values.items():
        try:
            encoded[str(name)] = encode(_plain(value))
        except NotEncodable as error:
            raise DefinitionError(f"The {kind} '{name}' cannot be recorded: {error} Log a number or text, or return it as an output.") from error
    return encoded


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"A metric is a number: {error}. Log anything else by log_metadata(…).") from error


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python number it stands for."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value
