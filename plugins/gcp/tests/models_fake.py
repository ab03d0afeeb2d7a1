"""Vertex AI's models and endpoints on loopback; what is deployed is really served, by a container of a Docker engine of this machine."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google_fake import Asked, GoogleFake, Problem
from vertex_fake import PARENT, expanded

from dovetail_docker.testing import free_port

_MODEL = rf"{PARENT}/models/(?P<model>[a-z][a-z0-9_-]{{0,62}}|\d+)"
_ENDPOINT = rf"{PARENT}/endpoints/(?P<endpoint>\d+)"
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


class Operations:
    """Long-running operations that are done when they are looked at the first time, or later: `after(work)` runs it aside."""

    def __init__(self, google: GoogleFake) -> None:
        self._numbers = itertools.count(1)
        self._known: dict[str, dict[str, Any]] = {}
        google.route("GET", rf"{PARENT}/(?:[a-z]+/[^/]+/)?operations/(?P<id>\d+)", lambda asked: self._known[asked.parts["id"]])

    def done(self, parent: str, response: Mapping[str, Any]) -> dict[str, Any]:
        return self._begun(parent, {"done": True, "response": dict(response)})

    def failed(self, parent: str, code: int, message: str) -> dict[str, Any]:
        return self._begun(parent, {"done": True, "error": {"code": code, "message": message}})

    def after(self, parent: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        begun = self._begun(parent, {})
        number = begun["name"].rpartition("/")[2]

        def run() -> None:
            self._known[number] = {**self._known[number], **work()}

        threading.Thread(target=run, daemon=True).start()
        return begun

    def _begun(self, parent: str, state: Mapping[str, Any]) -> dict[str, Any]:
        number = str(next(self._numbers))
        self._known[number] = {"name": f"{parent}/operations/{number}", **state}
        return {"name": f"{parent}/operations/{number}"}


class ModelsFake:
    """`models`: versions by id of the model, each as it was uploaded."""

    def __init__(self, google: GoogleFake) -> None:
        self.google, self.operations = google, Operations(google)
        self.models: dict[str, list[dict[str, Any]]] = {}
        self._ids = itertools.count(100)
        google.route("GET", f"{PARENT}/models", lambda _: {})
        google.route("POST", f"{PARENT}/models:upload", self._upload)
        google.route("GET", _MODEL, self._get)
        google.route("DELETE", _MODEL, self._delete)
        google.route("GET", f"{_MODEL}:listVersions", self._list)
        google.route("PATCH", rf"{_MODEL}@(?P<version>\d+)", self._patch)
        google.route("POST", rf"{_MODEL}@(?P<version>\d+):mergeVersionAliases", self._merge)
        google.route("DELETE", rf"{_MODEL}@(?P<version>\d+):deleteVersion", self._delete_version)

    def _upload(self, asked: Asked) -> dict[str, Any]:
        parent, body = asked.path.removeprefix("/v1/").removesuffix("/models:upload"), asked.body
        model = body["model"]
        if not model.get("displayName") or not model["containerSpec"]["imageUri"]:
            raise Problem(400, "INVALID_ARGUMENT", "displayName and containerSpec are required.")
        name = body.get("parentModel", f"{parent}/models/{body.get('modelId') or next(self._ids)}").rpartition("/")[2]
        with self.google.lock:
            if "parentModel" in body and name not in self.models:
                return self.operations.failed(parent, 5, f"The Model {name} does not exist.")
            if "parentModel" not in body and name in self.models:
                return self.operations.failed(parent, 6, f"Model {name} already exists.")
            versions = self.models.setdefault(name, [])
            number = str(max((int(each["versionId"]) for each in versions), default=0) + 1)
            aliases = [*model.get("versionAliases", ()), *([] if versions else ["default"])]
            self._check_free(name, aliases)
            versions.append({**model, "name": f"{parent}/models/{name}", "versionId": number, "versionAliases": aliases})
        return self.operations.done(parent, {"model": f"{parent}/models/{name}", "modelVersionId": number})

    def _check_free(self, name: str, aliases: Sequence[str]) -> None:
        held = {alias for version in self.models[name] for alias in version["versionAliases"]}
        if held & set(aliases) or not all(_ALIAS.fullmatch(alias) for alias in aliases):
            raise Problem(400, "INVALID_ARGUMENT", f"aliases {aliases}")

    def _found(self, asked: Asked) -> list[dict[str, Any]]:
        if asked.parts["model"] not in self.models:
            raise Problem(404, "NOT_FOUND", f"The Model {asked.parts['model']} does not exist.")
        return self.models[asked.parts["model"]]

    def _version(self, asked: Asked) -> dict[str, Any]:
        return next(each for each in self._found(asked) if each["versionId"] == asked.parts["version"])

    def _get(self, asked: Asked) -> dict[str, Any]:
        return self._found(asked)[-1]

    def _list(self, asked: Asked) -> dict[str, Any]:
        found, start, size = self._found(asked), int(asked.query.get("pageToken", 0)), int(asked.query["pageSize"])
        return {"models": found[start : start + size], **({"nextPageToken": str(start + size)} if start + size < len(found) else {})}

    def _patch(self, asked: Asked) -> dict[str, Any]:
        found = self._version(asked)
        for name in asked.query["updateMask"].split(","):
            assert name in ("versionDescription", "labels"), "which a version has of its own"
            found[name] = asked.body[name]
        return found

    def _merge(self, asked: Asked) -> dict[str, Any]:
        with self.google.lock:
            found, given = self._version(asked), asked.body["versionAliases"]
            added = [alias for alias in given if not alias.startswith("-")]
            if "default" in added:  # which moves
                for each in self._found(asked):
                    each["versionAliases"] = [alias for alias in each["versionAliases"] if alias != "default"]
            self._check_free(asked.parts["model"], added)
            found["versionAliases"] = [alias for alias in found["versionAliases"] if f"-{alias}" not in given] + added
        return found

    def _delete_version(self, asked: Asked) -> dict[str, Any]:
        found, versions = self._version(asked), self._found(asked)
        if len(versions) == 1 or "default" in found["versionAliases"]:
            raise Problem(400, "FAILED_PRECONDITION", "Cannot delete the only, or the default, version of a model.")
        versions.remove(found)
        return self.operations.done(asked.path.removeprefix("/v1/").partition("@")[0], {})

    def _delete(self, asked: Asked) -> dict[str, Any]:
        self._found(asked)
        del self.models[asked.parts["model"]]
        return self.operations.done(asked.path.removeprefix("/v1/"), {})


class EndpointsFake(ModelsFake):
    """`endpoints`: by number. `engine`, `volumes`: as of VertexFake. `storage`: where containers find the files of gs:// addresses."""

    def __init__(self, google: GoogleFake, engine: Any, volumes: Sequence[str], storage: str) -> None:
        super().__init__(google)
        self.engine, self.volumes, self.storage = engine, list(volumes), storage
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.containers: dict[str, Any] = {}
        self.ports: dict[str, int] = {}
        self._numbers = itertools.count(9007199254740993)
        google.route("GET", f"{PARENT}/endpoints", lambda _: {})
        google.route("POST", f"{PARENT}/endpoints", self._create)
        google.route("GET", _ENDPOINT, self._endpoint)
        google.route("DELETE", _ENDPOINT, self._delete_endpoint)
        google.route("POST", f"{_ENDPOINT}:deployModel", self._deploy)
        google.route("POST", f"{_ENDPOINT}:undeployModel", self._undeploy)
        google.route("POST", f"{_ENDPOINT}:predict", self._predict)
        google.route("POST", "/v2/entries:list", self._entries)

    def close(self) -> None:
        for container in self.containers.values():
            with contextlib.suppress(Exception):
                container.remove(force=True)

    def _create(self, asked: Asked) -> dict[str, Any]:
        number, parent = str(next(self._numbers)), asked.path.removeprefix("/v1/")
        self.endpoints[number] = {**asked.body, "name": f"{parent}/{number}", "deployedModels": []}
        return self.operations.done(self.endpoints[number]["name"], {"name": self.endpoints[number]["name"]})

    def _endpoint(self, asked: Asked) -> dict[str, Any]:
        if asked.parts["endpoint"] not in self.endpoints:
            raise Problem(404, "NOT_FOUND", "The Endpoint does not exist.")
        return self.endpoints[asked.parts["endpoint"]]

    def _deploy(self, asked: Asked) -> dict[str, Any]:
        endpoint, wanted = self._endpoint(asked), asked.body["deployedModel"]
        assert asked.body["trafficSplit"] == {"0": 100}
        [model] = self.models[wanted["model"].rpartition("/")[2]]
        return self.operations.after(
            endpoint["name"], lambda: self._served(asked.parts["endpoint"], endpoint, {**wanted, "id": str(next(self._numbers))}, model)
        )

    def _served(self, number: str, endpoint: dict[str, Any], deployed: dict[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
        spec, port = model["containerSpec"], free_port()
        told = {
            "AIP_HTTP_PORT": str(port), "AIP_STORAGE_URI": model["artifactUri"], "AIP_HEALTH_ROUTE": spec["healthRoute"],
            "AIP_PREDICT_ROUTE": spec["predictRoute"], "STORAGE_EMULATOR_HOST": self.storage, "NO_GCE_CHECK": "true",
        }  # fmt: skip
        container = self.engine.containers.create(
            spec["imageUri"],
            entrypoint=spec["command"],
            environment={**expanded(spec["env"]), **told},
            network_mode="host",
            volumes=self.volumes,
            init=True,
        )
        self.containers[number], self.ports[number] = container, port
        container.start()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if _answers(f"http://127.0.0.1:{port}{spec['healthRoute']}"):
                endpoint["deployedModels"].append(deployed)
                return {"done": True, "response": {"deployedModel": {"id": deployed["id"]}}}
            container.reload()
            if container.status == "exited":
                break
            time.sleep(0.05)
        return {
            "done": True,
            "error": {"code": 9, "message": 'Model server terminated: model server container terminated: exit_code: 1 reason: "Error".'},
        }

    def _predict(self, asked: Asked) -> Any:
        endpoint, number = self._endpoint(asked), asked.parts["endpoint"]
        if not endpoint["deployedModels"]:
            raise Problem(400, "FAILED_PRECONDITION", "Endpoint has no deployed model.")
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[number]}/predict", json.dumps(asked.body).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise Problem(error.code, "INVALID_ARGUMENT", error.read().decode()) from None
        except OSError:
            raise Problem(503, "UNAVAILABLE", "503 upstream connect error or disconnect/reset before headers.") from None

    def _undeploy(self, asked: Asked) -> dict[str, Any]:
        endpoint, number = self._endpoint(asked), asked.parts["endpoint"]
        endpoint["deployedModels"] = [each for each in endpoint["deployedModels"] if each["id"] != asked.body["deployedModelId"]]
        with contextlib.suppress(Exception):
            self.containers[number].remove(force=True)
        return self.operations.done(endpoint["name"], {})

    def _delete_endpoint(self, asked: Asked) -> dict[str, Any]:
        if self._endpoint(asked)["deployedModels"]:
            raise Problem(400, "FAILED_PRECONDITION", "Endpoint has deployed models.")
        del self.endpoints[asked.parts["endpoint"]]
        return self.operations.done(asked.path.removeprefix("/v1/"), {})

    def _entries(self, asked: Asked) -> dict[str, Any]:
        found = re.search(r'endpoint_id="(\d+)"', asked.body["filter"])
        container = self.containers.get(found[1]) if found else None
        try:
            lines = container.logs().decode().splitlines() if container is not None else []
        except Exception:  # it has been removed
            lines = []
        return {"entries": [{"jsonPayload": {"message": line}} for line in reversed(lines)][: asked.body["pageSize"]]}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
