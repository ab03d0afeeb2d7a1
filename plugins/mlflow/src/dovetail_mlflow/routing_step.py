"""What MLflow is told within one step: kept for reads while the step runs, and said to the step as Dovetail's own."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail_mlflow import vendor

if TYPE_CHECKING:
    from dovetail.authoring.in_step import StepContext

SWITCH = "DOVETAIL_MLFLOW_ROUTING"  # `off` leaves MLflow alone
_NATIVE = "mlflow"  # the flavor of tracker that takes MLflow's calls itself
_steps: dict[tuple[str, str, int], RoutedStep] = {}
_lock = threading.RLock()


@dataclass
class RoutedRun:
    """One MLflow run in a step. `prefix`: what its names begin with, "" for the first one of the step."""

    step: RoutedStep
    prefix: str
    run_id: str
    name: str
    started: int
    status: str = "RUNNING"
    ended: int | None = None
    user: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, list[Any]] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    inputs: list[Any] = field(default_factory=list)
    model_inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.step.folder / self.run_id


@dataclass
class RoutedStep:
    """`context`: what was logged is said to it, also by MLflow's own threads.

    `active`: the step's own stack of active runs. `autologging`: what the step has set, by integration. `ending`: to be called at its end.
    `last_run`: what the caller's `mlflow.last_active_run()` was.
    """

    context: StepContext
    flavor: str | None
    runs: dict[str, RoutedRun] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    active: list[Any] = field(default_factory=list)
    autologging: dict[str, Any] = field(default_factory=dict)
    ending: list[Callable[[], None]] = field(default_factory=list)
    last_run: Any = None
    _folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> Path:
        """Where copies of what was logged lie until the step ends."""
        with _lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="dovetail-mlflow-")
            return Path(self._folder.name)

    def prefix_for(self, name: str, parent: RoutedRun | None) -> str:
        """The first run of a step is the step; what is said of others must not take the place of what it says."""
        if not self.runs:
            return ""
        wanted = f"{parent.prefix if parent is not None else ''}{name}"
        taken = {run.prefix for run in self.runs.values()}
        numbered = (wanted if number == 1 else f"{wanted}_{number}" for number in range(1, len(taken) + 2))
        return next(f"{prefix}/" for prefix in numbered if f"{prefix}/" not in taken)

    def close(self) -> None:
        """The step's function has ended: what MLflow logs asynchronously is awaited, and nothing is kept."""
        with ExitStack() as closing:
            closing.callback(self._forget)
            for end in self.ending:
                closing.callback(end)
            vendor.flush(sys.modules.get("mlflow"))

    def _forget(self) -> None:
        with _lock:
            _steps.pop(_key(self.context), None)
        vendor.exchange_last_run(self.last_run)
        self.active.clear()
        self.runs.clear()
        if self._folder is not None:
            self._folder.cleanup()


def everywhere(name: str, own: Any, other: Any) -> None:
    """Put another in the place of one of MLflow's own names, in each of its modules that has it by now; those to come take it there."""
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] == "mlflow" and vars(module).get(name) is own:
            setattr(module, name, other)


def routed() -> RoutedStep | None:
    """The step that the calling code belongs to, unless its stack tracks with MLflow; None outside of steps."""
    context = context_of_caller() if os.environ.get(SWITCH, "").lower() != "off" else None
    if context is None:
        return None
    flavor = context.stack.flavors.get("experiment_tracker")
    return None if flavor == _NATIVE else _step_of(context, flavor)


def context_of_caller() -> StepContext | None:
    """None outside of steps; nothing of Dovetail that runs steps is imported to find that out."""
    if "dovetail.execution.scope" not in sys.modules:
        return None
    from dovetail import get_step_context

    try:
        return get_step_context()
    except RuntimeError:
        return None


def _step_of(context: StepContext, flavor: str | None) -> RoutedStep:
    key = _key(context)
    with _lock:
        step = _steps.get(key)
        if step is None:
            step = _steps[key] = RoutedStep(context, flavor, last_run=vendor.exchange_last_run(None))
            context.at_end(step.close)
        return step


def _key(context: StepContext) -> tuple[str, str, int]:
    return context.run_id, context.step_name, context.attempt


def run_called(run_id: str) -> RoutedRun:
    """A run of any step that runs now. Raises MlflowException for one that is not known, with the cure."""
    with _lock:
        steps = list(_steps.values())
    for step in steps:
        if run_id in step.runs:
            return step.runs[run_id]
    raise _unknown(f"run {run_id!r}")


def model_called(model_id: str) -> Any:
    """A logged model of any step that runs now."""
    with _lock:
        steps = list(_steps.values())
    for step in steps:
        if model_id in step.models:
            return step.models[model_id]
    raise _unknown(f"model {model_id!r}")


def _unknown(what: str) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException(
        f"There is no {what} in this step. Its stack does not track with MLflow, so MLflow's calls are led to Dovetail, and only what was "
        f"logged in the same step is read back. Read others by MlflowClient(tracking_uri=…), or by dovetail.Client."
    )


def cure(step: RoutedStep | None, call: str) -> Exception:
    """The error of every call that has no counterpart."""
    from mlflow.exceptions import MlflowException

    with_what = "has no tracker" if step is None or step.flavor is None else f"tracks with '{step.flavor}'"
    return MlflowException(
        f"MLflow's {call} cannot be used in this step: its stack {with_what}, so MLflow's calls are led to Dovetail, which takes params, "
        f"metrics, tags, artifacts and autologging. Leave the call out, run the step on a stack with an MLflow tracker, ask a server by name "
        f"with MlflowClient(tracking_uri=…), or set {SWITCH}=off to leave MLflow alone."
    )
