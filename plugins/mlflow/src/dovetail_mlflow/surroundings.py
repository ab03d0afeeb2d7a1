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
        self._spared = frozenset(spared)
        self._set = {name: value for name, value in variables.items() if name not in spared and not _said_already(name)}
        self._before = self._now()

    def enter(self) -> None:
        self._become(self._set)

    def add(self, variables: Mapping[str, str]) -> None:
        os.environ.update({name: value for name, value in variables.items() if name not in self._spared})

    def leave(self) -> None:
        """What was set meanwhile, as by `mlflow.set_experiment`, goes too."""
        self._become(self._before)

    def _now(self) -> dict[str, str]:
        names = [name for name in os.environ if name.startswith(("MLFLOW_", "_MLFLOW_")) and name not in self._spared]
        return {name: os.environ[name] for name in names if name in self._set or not name.startswith(_KEPT)}

    def _become(self, wanted: Mapping[str, str]) -> None:
        for name in self._now():
            if name not in wanted:
                os.environ.pop(name, None)
        os.environ.update(wanted)


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
