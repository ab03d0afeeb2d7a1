"""The one file that touches what MLflow keeps per process and thread: addresses and active runs.

MLflow has calls to set these and none to put them back as they were, so this reads its own modules; `getattr` bridges
the versions. The active runs are a list of the process up to MLflow 2.17 and of the thread from then on.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail_mlflow.autologging import Autologging

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ADDRESSES = (
    ("mlflow.tracking._tracking_service.utils", "_tracking_uri"),
    ("mlflow.tracking._model_registry.utils", "_registry_uri"),
    ("mlflow.tracking.fluent", "_active_experiment_id"),
)
_OF_A_THREAD = ("_last_active_run_id", "_last_logged_model_id")


def client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def is_connection_error(error: Exception) -> bool:
    """Whether MLflow could not be asked, as opposed to having refused."""
    from mlflow.exceptions import MlflowException, RestException

    return isinstance(error, ConnectionError) or (
        isinstance(error, MlflowException) and not isinstance(error, RestException) and "API request to" in str(error)
    )


@contextmanager
def addressed(uri: str) -> Iterator[None]:
    """What MLflow takes for its address where none is given, as some versions do for artifacts of whatever client."""
    module: Any = importlib.import_module("mlflow.tracking._tracking_service.utils")
    before, module._tracking_uri = module._tracking_uri, uri
    try:
        yield
    finally:
        module._tracking_uri = before


@dataclass
class FluentState:
    """What `mlflow.log_metric(…)` and its like go by. Taken when a step begins, put back when it has ended."""

    addresses: Mapping[tuple[str, str], Any]
    of_thread: Mapping[str, Any]
    active: list[Any]
    runs: list[Any]
    autologging: Autologging

    @classmethod
    def taken(cls) -> FluentState:
        """Remember the state and leave an empty one: no active run, no address, no experiment."""
        fluent = importlib.import_module("mlflow.tracking.fluent")
        runs = _value(fluent._active_run_stack)
        state = cls(
            {place: getattr(importlib.import_module(place[0]), place[1], None) for place in _ADDRESSES},
            {name: _value(getattr(fluent, name, None)) for name in _OF_A_THREAD},
            list(runs),
            runs,
            Autologging.taken(),
        )
        runs.clear()
        for module, name in _ADDRESSES:
            setattr(importlib.import_module(module), name, None)
        return state

    def put_back(self) -> None:
        fluent = importlib.import_module("mlflow.tracking.fluent")
        self.autologging.put_back()
        _set_tracking_uri(self.addresses[_ADDRESSES[0]])
        for (module, name), value in self.addresses.items():
            setattr(importlib.import_module(module), name, value)
        for name, value in self.of_thread.items():
            _set(fluent, name, value)
        self.runs[:] = self.active


def begin(uri: str, run_id: str, *, autolog: bool) -> None:
    """Make a run the active one of this thread, at this address."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.start_run(run_id=run_id)
    if autolog:
        mlflow.autolog(silent=True)


def end(run_id: str, *, failed: bool) -> None:
    """End runs that the step left open below its own, and what watches its own; its own is ended by who began it."""
    import mlflow

    if mlflow.active_run() is not None:
        flush(mlflow)
    while (active := mlflow.active_run()) is not None:
        own = active.info.run_id == run_id
        mlflow.end_run("FAILED" if failed else "FINISHED")
        if own:
            return


def flush(mlflow: Any) -> None:
    """Wait for what was logged with `synchronous=False`."""
    for name in ("flush_async_logging", "flush_artifact_async_logging"):
        waiting = getattr(mlflow, name, None)
        if waiting is not None:
            waiting()


def exchange_last_run(run_id: Any) -> Any:
    """Set what `mlflow.last_active_run()` gives, and give what that was."""
    fluent = sys.modules.get("mlflow.tracking.fluent")
    before = _value(getattr(fluent, "_last_active_run_id", None))
    _set(fluent, "_last_active_run_id", run_id)
    return before


def _set_tracking_uri(uri: Any) -> None:
    import mlflow

    mlflow.set_tracking_uri(uri)


def _value(kept: Any) -> Any:
    """Of a variable that some versions keep per thread and others as it is."""
    return kept.get() if hasattr(kept, "get_all_thread_values") or type(kept).__name__ == "ThreadLocalVariable" else kept


def _set(module: Any, name: str, value: Any) -> None:
    kept: Any = getattr(module, name, None)
    if hasattr(kept, "get_all_thread_values") or type(kept).__name__ == "ThreadLocalVariable":
        kept.set(value)
    elif hasattr(module, name):
        setattr(module, name, value)
