"""One attempt at one step: read inputs, call the function, write outputs, commit the outcome."""

from __future__ import annotations

import contextvars
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.errors import MaterializerError, RunCancelled, StepFailed, WorkerLost
from dovetail.execution import watching
from dovetail.execution.capture import capturing
from dovetail.execution.finishing import entry_of
from dovetail.execution.hooks import call_hook
from dovetail.execution.importing import as_in_project
from dovetail.execution.inputs import load_inputs
from dovetail.execution.naming import content_of, filled, named_output
from dovetail.execution.scope import StepScope, apart, entered, running
from dovetail.execution.surroundings import variables_set
from dovetail.execution.work import RunInfo
from dovetail.graph.definition import StepDefinition
from dovetail.planning.workspace import Workspace, settings_for
from dovetail.stack.references import redact
from dovetail.values.artifacts import ArtifactConfig, ArtifactType
from dovetail.values.context import StepRun
from dovetail.values.encoding import type_name
from dovetail.values.graph import OutputSpec
from dovetail.values.model import pin
from dovetail.values.plan import PlanStep, Status

_untold: dict[StepScope, Callable[[], None]] = {}


@dataclass(frozen=True)
class Attempt:
    """What it takes to run a step once. `inputs` are resolved; `number` counts from 1; `captured` keeps what is printed."""

    workspace: Workspace
    run: RunInfo
    step: PlanStep
    definition: StepDefinition
    inputs: Mapping[str, Any]
    key: str | None
    number: int = 1
    captured: Callable[[StepScope], AbstractContextManager[Any]] = lambda _: capturing()


class AttemptFailed(Exception):  # it ends an attempt; whether that is an error is decided by retries
    """The step's function, or saving its outputs, raised `error`. `outcome` is what to commit if no retry follows."""

    def __init__(self, error: BaseException, outcome: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error
        self.outcome = outcome


def perform(attempt: Attempt) -> dict[str, Any]:
    """Run the attempt and commit its outcome, which is returned; raises AttemptFailed, with nothing committed."""
    step, run = attempt.step, attempt.run
    records = attempt.workspace.ledger.run(run.run_id)
    started = time.time()
    scope = scope_of(attempt)
    _untold[scope] = partial(records.start_attempt, step.invocation, attempt.number, {"started": started, "pid": os.getpid()})
    watching.watch()
    try:
        with variables_set(step.environment.env), attempt.captured(scope):
            outputs = _execute(attempt, scope)
        outcome = _outcome(attempt, scope, started, Status.COMPLETED, outputs)
    except BaseException as error:
        scope.end(Status.FAILED, attempt.inputs, {})
        outcome = _outcome(attempt, scope, started, ending(error), {}, error)
        flush(scope)
        raise AttemptFailed(error, outcome) from error
    finally:
        _untold.pop(scope, None)
    scope.end(Status.COMPLETED, attempt.inputs, outputs)
    flush(scope)
    commit(attempt.workspace, run, step, attempt.key, outcome)
    return outcome


def tell_start(scope: StepScope) -> None:
    """Record that the step started, unless that is done: only once it has lasted a while, as most are over before anybody looks."""
    tell = _untold.pop(scope, None)
    if tell is not None:
        tell()


def _perform_apart(attempt: Attempt) -> dict[str, Any]:
    with apart():
        return perform(attempt)


def settle(attempt: Attempt) -> tuple[dict[str, Any] | None, BaseException | None]:
    """Perform and commit whatever came of it: (outcome, error), the outcome being None where another attempt follows."""
    try:
        return contextvars.copy_context().run(_perform_apart, attempt), None
    except AttemptFailed as failure:
        if retries(attempt.step, attempt.number, failure.error):
            attempt.workspace.ledger.run(attempt.run.run_id).end_attempt(attempt.step.invocation, attempt.number, failure.outcome)
            return None, failure.error
        commit(attempt.workspace, attempt.run, attempt.step, None, failure.outcome)
        return failure.outcome, failure.error


def commit(workspace: Workspace, run: RunInfo, step: PlanStep, key: str | None, outcome: dict[str, Any]) -> bool:
    """Create the outcome, then its cache entry; False when another outcome was there first, which makes this one's versions void."""
    won = workspace.ledger.run(run.run_id).commit(step.invocation, outcome)
    if key is not None and outcome["status"] == Status.COMPLETED:
        entry = entry_of({"id": run.run_id, "name": run.run_name}, step.invocation, outcome)
        if not won:
            entry["outputs"] = {name: content_of(output) for name, output in entry["outputs"].items()}
        workspace.ledger.cache.add(key, entry)
    return won


def give_up(
    workspace: Workspace, run: RunInfo, step: PlanStep, number: int, inputs: Mapping[str, Any], error: BaseException
) -> dict[str, Any] | None:
    """Commit for an attempt that cannot do so itself; gives the outcome that counts, None where another attempt follows."""
    records = workspace.ledger.run(run.run_id)
    started = (records.attempt(step.invocation, number) or {}).get("started", time.time())
    outcome = {
        "status": ending(error).value, "attempt": number, "started": started, "ended": time.time(), "inputs": dict(inputs),
        "outputs": {}, "error": told_error(workspace, error), "log": True,
    }  # fmt: skip
    if retries(step, number, error):
        records.end_attempt(step.invocation, number, outcome)
        return None
    return outcome if commit(workspace, run, step, None, outcome) else records.outcome(step.invocation)


def scope_of(attempt: Attempt) -> StepScope:
    run, step = attempt.run, attempt.step
    model = step.options.get("model")
    name = filled("model", model["name"], run, step) if model else None
    number = (run.pins.get(pin(name, model["version"])) if model["version"] is not None else run.models.get(name)) if model and name else None
    parameters = {name: given["value"] for name, given in attempt.inputs.items() if "value" in given}
    tracker = attempt.workspace.stack.components.get("experiment_tracker")
    step_run = StepRun(
        run.run_id, run.run_name, run.pipeline, step.invocation, step.node.step, attempt.number, parameters,
        (*run.tags, *step.options.get("tags", ())), name, number, run.stack["name"],
        run.prepared.get("experiment_tracker"), variables=step.environment.env,
    )  # fmt: skip
    scope = StepScope(attempt.workspace, step_run, pins=run.pins, model_wanted=model["version"] if model else None, options=step.options)
    if tracker is not None:
        scope.make_tracker = lambda: make_tracker(attempt.workspace, step)
    return scope


def make_tracker(workspace: Workspace, step: PlanStep) -> ExperimentTracker | None:
    """A tracker of its own for one step run, with the settings that the step has for it."""
    made: Any = workspace.stack.with_settings("experiment_tracker", settings_for(workspace, step.options, "experiment_tracker"))
    return made if isinstance(made, ExperimentTracker) else None


def _execute(attempt: Attempt, scope: StepScope) -> dict[str, Any]:
    definition, options = attempt.definition, attempt.definition.options
    signature = definition.signature
    arguments = load_inputs(attempt.workspace, definition, attempt.inputs)
    scope.readings += watching.parameter_readings(scope, dict(attempt.inputs))
    open_tracker(attempt, scope)
    process = os.getpid()
    with inside(scope):
        call_hook(options.on_start)
        try:
            value = definition.function(**arguments)
            _end_of_a_fork(process, None)
            del arguments
        except BaseException as error:
            _end_of_a_fork(process, error)
            _failed(attempt, error)
            raise
    try:
        outputs = save_outputs(attempt, scope, value, annotated=signature.outputs is not None)
    except BaseException as error:
        with inside(scope):
            _failed(attempt, error)
        raise
    if options.on_success or options.on_end:
        with inside(scope):
            call_hook(options.on_success)
            call_hook(options.on_end)
    return outputs


def open_tracker(attempt: Attempt, scope: StepScope) -> None:
    """Where the step wants it open from its start."""
    if attempt.step.options.get("experiment_tracker"):
        scope.mirror(lambda tracker: None)


@contextmanager
def inside(scope: StepScope) -> Iterator[None]:
    """The user's code of a step, which the tracker's tool attends to."""
    scope.attend()
    with entered(scope):
        try:
            yield
        finally:
            scope.leave()


def _end_of_a_fork(process: int, error: BaseException | None) -> None:
    """A child that a step forked ends where the step's function does: what counts is what the parent returns."""
    if os.getpid() != process:
        if error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(error)
        os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else int(error is not None))


def _failed(attempt: Attempt, error: BaseException) -> None:
    if not retries(attempt.step, attempt.number, error):
        call_hook(attempt.definition.options.on_failure, error)
        call_hook(attempt.definition.options.on_end)


def retries(step: PlanStep, number: int, error: BaseException) -> bool:
    """Whether another attempt follows one that ended so."""
    if isinstance(error, (KeyboardInterrupt, RunCancelled)):
        return False
    return number <= step.retry.max_retries and (isinstance(error, WorkerLost) or step.retry.covers(error))


def save_outputs(attempt: Attempt, scope: StepScope, value: Any, *, annotated: bool) -> dict[str, Any]:
    specs = attempt.step.node.outputs
    values = _split(attempt.step.invocation, value, specs)
    if value is not None and not (annotated and specs):
        what = "is annotated to return nothing, so its value is not kept" if annotated else "has no return annotation; its value is kept as 'output'"
        code: Any = getattr(attempt.definition.function, "__code__", None)
        warnings.warn_explicit(
            f"Step '{attempt.step.node.step}' {what}, though it is a {type_name(type(value))}. Annotate it: -> {type(value).__name__}.",
            UserWarning,
            code.co_filename if code else "dovetail",
            code.co_firstlineno if code else 0,
        )
    outputs = {}
    for spec, item in zip(specs, values, strict=True):
        outputs[spec.name] = _save_output(attempt, scope, spec, item)
    return outputs


def _split(invocation: str, value: Any, specs: tuple[OutputSpec, ...]) -> tuple[Any, ...]:
    if len(specs) == 1:
        return (value,)
    if not specs:
        return ()
    if not isinstance(value, (tuple, list)) or len(value) != len(specs):
        given = f"{len(value)} values" if isinstance(value, (tuple, list)) else f"one {type(value).__name__}"
        names = ", ".join(spec.name for spec in specs)
        raise StepFailed(f"Step '{invocation}' is annotated to return {len(specs)} outputs ({names}) and returned {given}.")
    return tuple(value)


def _save_output(attempt: Attempt, scope: StepScope, spec: OutputSpec, value: Any) -> dict[str, Any]:
    artifacts = attempt.workspace.ledger.artifacts
    config = None
    unnamed = scope.output_metadata.get("", {}) if len(attempt.step.node.outputs) == 1 else {}
    extra = {**spec.metadata, **unnamed, **scope.output_metadata.get(spec.name, {})}
    if extra or spec.artifact_type:
        config = ArtifactConfig(artifact_type=ArtifactType(spec.artifact_type) if spec.artifact_type else None)
    cls = artifacts.materializers.named(spec.materializer) if spec.materializer else None
    if spec.itemwise:
        if not isinstance(value, (list, tuple)):
            raise MaterializerError(
                f"Output '{spec.name}' of step '{attempt.step.invocation}' is mapped over, so it must be a list, not {type(value).__name__}."
            )
        saved = [artifacts.save(item, config, cls) for item in value]
        kept, manifest = artifacts.save_items([item for item, _ in saved])
        size = sum(item.size for _, item in saved)
    else:
        kept, manifest = artifacts.save(value, config, cls)
        size = manifest.size
    record = {"digest": kept, "type": manifest.type, "size": size, "kind": manifest.artifact_type}
    return named_output(attempt.workspace, attempt.run, attempt.step, spec, record, extra)


def _outcome(
    attempt: Attempt, scope: StepScope, started: float, status: Status, outputs: dict[str, Any], error: BaseException | None = None
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "status": status.value,
        "attempt": attempt.number,
        "started": started,
        "ended": time.time(),
        "inputs": dict(attempt.inputs),
        "outputs": outputs,
    }
    found = watching.file_readings(scope) if scope.opened else []
    optional = {
        "key": attempt.key,
        "code": attempt.step.code,
        "uncached": attempt.step.uncached,
        "params": scope.params,
        "metrics": scope.metrics,
        "metadata": scope.metadata,
        "model_metadata": scope.model_metadata,
        "saved": scope.saved,
        "readings": [*scope.readings, *found],
        "tracker_errors": scope.tracker_errors,
        "log": bool(scope.log or scope.chunks),
    }
    record.update({name: value for name, value in optional.items() if value})
    if error is not None:
        record["error"] = told_error(attempt.workspace, error)
    return record


def told_error(workspace: Workspace, error: BaseException) -> dict[str, str]:
    """What records say of an error, secrets hidden."""
    secrets = workspace.stack.secrets()
    return {name: redact(text, secrets) for name, text in describe_error(error).items()}


def describe_error(error: BaseException) -> dict[str, str]:
    """Type, message and traceback, the framework's own frames left out."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames if not frame.filename.startswith(own)] or list(frames)
    lines = [*traceback.format_list(kept), *traceback.format_exception_only(type(error), error)]
    return {"type": type_name(type(error)), "message": str(error), "traceback": as_in_project("".join(lines))}


def ending(error: BaseException) -> Status:
    return Status.CANCELLED if isinstance(error, (KeyboardInterrupt, RunCancelled)) else Status.FAILED


def flush(scope: StepScope) -> None:
    """Store what the step printed since the last chunk, secrets hidden. A chunk that could not be stored is tried again as it is."""
    records = scope.workspace.ledger.run(scope.step_run.run_id)
    with scope.flushing:
        while scope.unsent or scope.log:
            if not scope.unsent:
                lines, scope.log = scope.log, []
                scope.unsent = redact("".join(lines), scope.workspace.stack.secrets())
            records.add_log(scope.step_run.name, scope.step_run.attempt, scope.chunks, scope.unsent)
            scope.chunks, scope.unsent = scope.chunks + 1, ""


def flush_all(run_id: str) -> None:
    """Record which steps of a run are running by now, and what they printed since their last chunks."""
    for scope in list(_untold):
        if scope.step_run.run_id == run_id:
            tell_start(scope)
    for scope in running(run_id):
        flush(scope)
