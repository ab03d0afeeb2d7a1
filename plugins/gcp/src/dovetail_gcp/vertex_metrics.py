"""The history of metrics, in a Tensorboard instance of Vertex AI."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from dovetail_gcp.errors import GoogleError
from dovetail_gcp.vertex_client import VertexConnection

_MOST = 4000  # points that one request takes, with some to spare
_WHAT = "The Tensorboard"


class MetricSeries:
    """What is logged in one step run, sent in batches: each point has a step of its own, as the service overwrites a step that comes again."""

    def __init__(self, at: VertexConnection, run: str) -> None:
        """`run`: the name of the TensorboardRun."""
        self._at, self._run = at, run
        self._ids: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._waiting: list[tuple[str, int, float, float]] = []

    def open(self, experiment: str, name: str, said: str) -> None:
        """Make the run below the TensorboardExperiment, or take the one that an attempt before has made."""
        made = {"displayName": name, "description": said}
        if not create(self._at, f"{experiment}/runs", {"tensorboardRunId": name}, made, _WHAT):
            for series in self._at.listed(f"{self._run}/timeSeries", "tensorboardTimeSeries", _WHAT):
                self._known(series)

    def add(self, metrics: Mapping[str, float], step: int | None) -> int:
        """How many points wait to be sent."""
        now = time.time()
        for name, value in metrics.items():
            at = step if step is not None else self._next.get(name, 0)
            self._next[name] = max(self._next.get(name, 0), at + 1)
            self._waiting.append((name, at, now, value))
        return len(self._waiting)

    def send(self) -> None:
        for name in dict.fromkeys(point[0] for point in self._waiting):
            if name not in self._ids:
                self._make(name)
        while self._waiting:
            batch = self._waiting[:_MOST]
            self._at.vertex("POST", f"{self._run}:write", _WHAT, {"tensorboardRun": self._run, "timeSeriesData": list(self._data(batch))}, again=True)
            del self._waiting[:_MOST]

    def _make(self, name: str) -> None:
        wanted = {"displayName": name, "valueType": "SCALAR", "pluginName": "scalars"}
        self._known(self._at.vertex("POST", f"{self._run}/timeSeries", _WHAT, wanted))

    def _known(self, series: Mapping[str, Any]) -> None:
        name = str(series["displayName"])
        self._ids[name] = str(series["name"]).rpartition("/")[2]
        told = series.get("metadata", {}).get("maxStep")
        if told is not None:
            self._next[name] = max(self._next.get(name, 0), int(told) + 1)

    def _data(self, batch: Iterable[tuple[str, int, float, float]]) -> Iterable[dict[str, Any]]:
        values: dict[str, list[dict[str, Any]]] = {}
        for name, step, moment, value in batch:
            values.setdefault(name, []).append({"step": str(step), "wallTime": timestamp(moment), "scalar": {"value": number(value)}})
        for name, points in values.items():
            yield {"tensorboardTimeSeriesId": self._ids[name], "valueType": "SCALAR", "values": points}


def create(at: VertexConnection, path: str, params: Mapping[str, str], body: Mapping[str, Any], what: str) -> bool:
    """Whether it was made; what is there already stays as it is."""
    try:
        at.vertex("POST", path, what, body, params, again=True)
    except GoogleError as error:
        if error.status != 409:
            raise
        return False
    return True


def tensorboard_of(at: VertexConnection, wanted: str | None) -> str:
    """The full name of the instance: the wanted one, or the region's default, which is made where there is none."""
    if wanted is not None:
        return wanted if "/" in wanted else f"{at.parent()}/tensorboards/{wanted}"
    found = next(at.listed(f"{at.parent()}/tensorboards", "tensorboards", _WHAT, {"filter": "is_default=true"}), None)
    if found is None:
        made = at.vertex("POST", f"{at.parent()}/tensorboards", _WHAT, {"displayName": "Default Tensorboard", "isDefault": True})
        found = at.finished(made, "The default Tensorboard's creation")
    return str(found["name"])


def number(value: float) -> float | str:
    """As JSON of Google's services has it."""
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def timestamp(moment: float) -> str:
    whole, part = divmod(moment, 1)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int(part * 1e6):06d}Z"
