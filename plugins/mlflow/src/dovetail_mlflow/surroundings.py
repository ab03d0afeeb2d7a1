"""The `MLFLOW_…` environment: MLflow's client reads its address and credentials there, anew for each request."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

# What says how to talk, not where to; credentials of buckets come from the surroundings of whoever needs them.
_KEPT = ("MLFLOW_HTTP_", "MLFLOW_S3_", "MLFLOW_GCS_", "MLFLOW_ARTIFACT", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_LOGGING_LEVEL", "MLFLOW_CONFIGURE_LOGGING")
_one_at_a_time = threading.RLock()


class Surroundings:
    """`variables` in place of the `MLFLOW_…` environment of whoever started this process, until `leave`."""

    def __init__(self, variables: Mapping[str, str], spared: Collection[str] = ()) -> None:
        """`spared`: variables that a step asks for itself, which stay as they are."""
        self._set = {name: value for name, value in variables.items() if name not in spared and not _said_already(name)}
        self._hidden = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("MLFLOW_", "_MLFLOW_")) and not name.startswith(_KEPT) and name not in spared and name not in self._set
        }
        self._before = {name: os.environ.get(name) for name in self._set} | dict(self._hidden)

    def enter(self) -> None:
        for name in self._hidden:
            os.environ.pop(name, None)
        os.environ.update(self._set)

    def leave(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _said_already(name: str) -> bool:
    return name.startswith(_KEPT) and name in os.environ


@contextmanager
def borrowed(variables: Mapping[str, str]) -> Iterator[None]:
    """The environment for a few calls; one caller at a time, since it is the whole process's."""
    with _one_at_a_time:
        surroundings = Surroundings(variables)
        surroundings.enter()
        try:
            yield
        finally:
            surroundings.leave()
