"""Vertex ML Metadata and Tensorboard on loopback, as far as experiments need them, with what their references demand of a request."""

from __future__ import annotations

import re
from typing import Any

from google_fake import Asked, GoogleFake, Problem
from vertex_fake import PARENT

_STORE = rf"{PARENT}/metadataStores/default"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_KINDS = {"contexts": "contextId", "artifacts": "artifactId"}


class ExperimentsFake:
    """`things`: what was made, by resource name. `points`: by name of a time series and step. `store`: whether the project has a metadata store."""

    def __init__(self, google: GoogleFake, *, store: bool = True) -> None:
        self.google, self.store = google, store
        self.things: dict[str, dict[str, Any]] = {}
        self.points: dict[str, dict[int, Any]] = {}
        route = google.route
        route("GET", f"{PARENT}/metadataStores", lambda _: {"metadataStores": []})
        route("POST", f"{PARENT}/metadataStores", self._make_store)
        for kind in _KINDS:
            route("POST", rf"{_STORE}/(?P<kind>{kind})", self._create_in_store)
        route("GET", rf"{_STORE}/contexts/(?P<id>[^/:]+)", self._get)
        route("PATCH", rf"{_STORE}/contexts/(?P<id>[^/:]+)", self._patch)
        route("POST", rf"{_STORE}/contexts/(?P<id>[^/:]+):addContext(?P<what>\w+)", self._add)
        board = rf"{PARENT}/tensorboards"
        route("GET", board, self._boards)
        route("POST", board, self._make_board)
        route("POST", rf"{board}/[^/]+/experiments", lambda asked: self._create(asked, "tensorboardExperimentId"))
        route("POST", rf"{board}/[^/]+/experiments/[^/]+/runs", lambda asked: self._create(asked, "tensorboardRunId"))
        route("GET", rf"{board}/[^/]+/experiments/[^/]+/runs/[^/]+/timeSeries", self._series)
        route("POST", rf"{board}/[^/]+/experiments/[^/]+/runs/[^/]+/timeSeries", self._make_series)
        route("POST", rf"{board}/[^/]+/experiments/[^/]+/runs/[^/]+:write", self._write)

    def _make_store(self, asked: Asked) -> dict[str, Any]:
        self.store = True
        return {"name": "projects/1/locations/l/operations/9", "done": True, "response": {}}

    def _create_in_store(self, asked: Asked) -> dict[str, Any]:
        if not self.store:
            raise Problem(404, "NOT_FOUND", "Requested MetadataStore does not exist.")
        if (
            asked.body.get("schemaTitle") not in ("system.Experiment", "system.ExperimentRun", "google.VertexTensorboardRun")
            or asked.body["schemaVersion"] != "0.0.1"
        ):
            raise Problem(400, "INVALID_ARGUMENT", "schema")
        return self._create(asked, _KINDS[asked.parts["kind"]])

    def _create(self, asked: Asked, named: str) -> dict[str, Any]:
        name = f"{asked.path.removeprefix('/v1/')}/{asked.query[named]}"
        if not _ID.fullmatch(asked.query[named]) or not asked.body.get("displayName"):
            raise Problem(400, "INVALID_ARGUMENT", f"{named} {asked.query[named]}")
        self._claim(name, asked.body)
        return self.things[name]

    def _claim(self, name: str, body: dict[str, Any]) -> None:
        with self.google.lock:
            if name in self.things:
                raise Problem(409, "ALREADY_EXISTS", f"{name} already exists")
            self.things[name] = {**body, "name": name, "added": []}

    def _found(self, path: str) -> dict[str, Any]:
        name = path.removeprefix("/v1/").partition(":")[0]
        if name not in self.things:
            raise Problem(404, "NOT_FOUND", f"{name} does not exist")
        return self.things[name]

    def _get(self, asked: Asked) -> dict[str, Any]:
        return self._found(asked.path)

    def _patch(self, asked: Asked) -> dict[str, Any]:
        assert asked.query["updateMask"] == "metadata"
        found = self._found(asked.path)
        found["metadata"] = asked.body["metadata"]
        return found

    def _add(self, asked: Asked) -> dict[str, Any]:
        [names] = asked.body.values()
        assert all(name in self.things for name in names)
        self._found(asked.path)["added"] += names
        return {}

    def _boards(self, asked: Asked) -> dict[str, Any]:
        return {
            "tensorboards": [thing for name, thing in self.things.items() if re.fullmatch(r".*/tensorboards/[^/]+", name) and thing.get("isDefault")]
        }

    def _make_board(self, asked: Asked) -> dict[str, Any]:
        name = f"{asked.path.removeprefix('/v1/')}/77"
        self._claim(name, asked.body)
        return {"name": f"{name}/operations/1", "done": True, "response": self.things[name]}

    def _series(self, asked: Asked) -> dict[str, Any]:
        parent = asked.path.removeprefix("/v1/")
        return {"tensorboardTimeSeries": [self._with_steps(name) for name in self.things if name.startswith(f"{parent}/")]}

    def _with_steps(self, name: str) -> dict[str, Any]:
        steps = self.points.get(name, {})
        return {**self.things[name], **({"metadata": {"maxStep": str(max(steps))}} if steps else {})}

    def _make_series(self, asked: Asked) -> dict[str, Any]:
        parent = asked.path.removeprefix("/v1/")
        if any(thing["displayName"] == asked.body["displayName"] for name, thing in self.things.items() if name.startswith(f"{parent}/")):
            raise Problem(409, "ALREADY_EXISTS", asked.body["displayName"])
        name = f"{parent}/{len(self.things)}"
        self._claim(name, asked.body)
        return self.things[name]

    def _write(self, asked: Asked) -> dict[str, Any]:
        run = asked.path.removeprefix("/v1/").removesuffix(":write")
        assert asked.body["tensorboardRun"] == run
        for data in asked.body["timeSeriesData"]:
            name = f"{run}/timeSeries/{data['tensorboardTimeSeriesId']}"
            self._found(f"/v1/{name}")
            for point in data["values"]:
                self.points.setdefault(name, {})[int(point["step"])] = float(point["scalar"]["value"])
        return {}
