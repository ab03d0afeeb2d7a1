"""MLflow runs that stand for pipeline runs and step runs: made once, and found again by what they are tagged with."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

_log = logging.getLogger("dovetail")
_open: dict[str, Callable[[str], None]] = {}
_lock = threading.Lock()

KEY = "dovetail.key"
RUN_ID = "dovetail.run_id"
STATUS = "dovetail.status"


def key_of(run_id: str, step: str = "") -> str:
    """What finds a run again whatever its names hold; a pipeline run's has no step."""
    return hashlib.sha256(f"{run_id}/{step}".encode()).hexdigest()[:32]


def experiment_id(client: Any, name: str, artifact_location: str | None) -> str:
    """The experiment of that name, made where there is none; two who make it at once get the same."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise ValueError(f"The MLflow experiment '{name}' was deleted. Restore it (mlflow experiments restore -x {found.experiment_id}), or use another name.")
    return str(found.experiment_id)


def find(client: Any, experiments: list[str], key: str) -> Any | None:
    """The oldest run of that key: of two that were made at once, all take the same."""
    found = client.search_runs(experiments, f"tags.`{KEY}` = '{key}'", max_results=1, order_by=["attributes.start_time ASC", "attributes.run_id ASC"])
    return found[0] if found else None


def find_or_create(client: Any, experiment: str, key: str, name: str, tags: Mapping[str, str]) -> Any:
    found = find(client, [experiment], key)
    if found is not None:
        return found
    return client.create_run(experiment, tags={**tags, KEY: key}, run_name=name)


def opened(run_id: str, close: Callable[[str], None]) -> None:
    """`close` is called with the status of the pipeline run when it has ended, if this process drives it."""
    with _lock:
        _open[run_id] = close


def end(run_id: str, status: str) -> None:
    with _lock:
        close = _open.pop(run_id, None)
    if close is not None:
        try:
            close(status)
        except Exception as error:  # whatever MLflow's client raises; the record says how the run ended
            _log.warning("MLflow was not told that the run ended: %s: %s", type(error).__name__, error)
