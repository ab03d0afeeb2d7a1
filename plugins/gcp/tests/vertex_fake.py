"""Vertex AI's custom jobs on loopback: what a request describes is really run, as a container of a Docker engine of this machine.

`run_container` is for other parts of a fake too, such as jobs of pipelines.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from google_fake import Asked, GoogleFake, Problem

PARENT = r"/v1/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_][A-Za-z0-9_]*)\))")
_GRACE = 3


class VertexFake:
    """`engine`: a client of the docker SDK. `volumes`: mounted into each container, so that plain images have what workers import."""

    def __init__(self, google: GoogleFake, engine: Any = None, volumes: Sequence[str] = ()) -> None:
        self.google, self.engine, self.volumes = google, engine, list(volumes)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.containers: dict[str, Any] = {}
        self._numbers = itertools.count(4611686018427387904)
        google.route("POST", f"{PARENT}/customJobs", self._create)
        google.route("GET", f"{PARENT}/customJobs", self._list)
        google.route("GET", rf"{PARENT}/customJobs/(?P<id>\d+)", self._get)
        google.route("POST", rf"{PARENT}/customJobs/(?P<id>\d+):cancel", self._cancel)
        google.route("POST", "/v2/entries:list", self._entries)
        google.route("GET", "/computeMetadata/v1/instance/service-accounts/default/token", self._token)

    def _token(self, asked: Asked) -> dict[str, Any]:
        """As a machine of Google's gives it to what runs there."""
        assert asked.headers["Metadata-Flavor"] == "Google"
        return {"access_token": "the machine's", "expires_in": 3599, "token_type": "Bearer"}

    def close(self) -> None:
        for container in self.containers.values():
            container.remove(force=True)

    def _create(self, asked: Asked) -> dict[str, Any]:
        body = dict(asked.body)
        for needed in ("displayName", "jobSpec"):
            if not body.get(needed):
                raise Problem(400, "INVALID_ARGUMENT", f"{needed} is required.")
        number = str(next(self._numbers))
        project, location = asked.parts["project"], asked.parts["location"]
        job = {**body, "name": f"projects/{project}/locations/{location}/customJobs/{number}", "state": "JOB_STATE_PENDING"}
        with self.google.lock:
            self.jobs[number] = job
        self._run(number, job)
        return job

    def _run(self, number: str, job: dict[str, Any]) -> None:
        if self.engine is None:
            return
        spec = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
        try:
            container = self.run_container(spec, number)
        except Exception as error:
            job |= {"state": "JOB_STATE_FAILED", "error": {"code": 3, "message": f"Failed to pull image {spec['imageUri']}: {error}"}}
            return
        job["state"] = "JOB_STATE_RUNNING"
        threading.Thread(target=self._follow, args=(container, job), daemon=True).start()

    def run_container(self, spec: Mapping[str, Any], name: str) -> Any:
        """A container as a ContainerSpec describes it; its environment is expanded as the service does it."""
        made = self.engine.containers.create(
            spec["imageUri"], list(spec.get("args", ())), entrypoint=list(spec.get("command", ())) or None, 
            environment={**expanded(spec.get("env", ())), "GCE_METADATA_HOST": urlsplit(self.google.url).netloc}, network_mode="host", volumes=self.volumes, name=f"vertex-{name}", init=True,
        )  # fmt: skip
        with self.google.lock:
            self.containers[name] = made
        made.start()
        return made

    def _follow(self, container: Any, job: dict[str, Any]) -> None:
        try:
            code = int(container.wait()["StatusCode"])
        except Exception:  # the engine has ended, with the test
            return
        with self.google.lock:
            job |= _ended(code, job["state"], job["jobSpec"]["workerPoolSpecs"])

    def _list(self, asked: Asked) -> dict[str, Any]:
        wanted = re.fullmatch(r'display_name="(.*)"', asked.query.get("filter", ""))
        found = [job for job in self.jobs.values() if wanted is None or job["displayName"] == wanted[1]]
        return {"customJobs": found[: int(asked.query.get("pageSize", 50))]} if found else {}

    def _job(self, asked: Asked) -> dict[str, Any]:
        if asked.parts["id"] not in self.jobs:
            raise Problem(404, "NOT_FOUND", f"The CustomJob does not exist: {asked.path}")
        return self.jobs[asked.parts["id"]]

    def _get(self, asked: Asked) -> dict[str, Any]:
        with self.google.lock:
            return dict(self._job(asked))

    def _cancel(self, asked: Asked) -> dict[str, Any]:
        job = self._job(asked)
        with self.google.lock:
            if job["state"] not in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
                raise Problem(400, "FAILED_PRECONDITION", f"Cannot cancel a job in state {job['state']}.")
            job["state"] = "JOB_STATE_CANCELLING" if asked.parts["id"] in self.containers else "JOB_STATE_CANCELLED"
        if asked.parts["id"] in self.containers:
            self.containers[asked.parts["id"]].stop(timeout=_GRACE)
        return {}

    def _entries(self, asked: Asked) -> dict[str, Any]:
        """Of what a job's container said, the last first."""
        wanted = re.search(r'resource\.labels\.job_id="(\d+)"', asked.body["filter"])
        container = self.containers.get(wanted[1]) if wanted else None
        lines = container.logs().decode("utf-8", "replace").splitlines() if container is not None else []
        entries = [{"jsonPayload": {"message": f"{line}\n"}, "resource": {"type": "ml_job"}} for line in reversed(lines)]
        return {"entries": entries[: asked.body.get("pageSize", 50)]}


def _ended(code: int, state: str, pools: Any) -> dict[str, Any]:
    if state == "JOB_STATE_CANCELLING":
        return {"state": "JOB_STATE_CANCELLED", "error": {"code": 1, "message": "CANCELED"}}
    if code == 0:
        return {"state": "JOB_STATE_SUCCEEDED"}
    shown = "9(SIGKILL)" if code == 137 else str(code)
    return {
        "state": "JOB_STATE_FAILED",
        "error": {"code": 3, "message": f"The replica workerpool0-0 exited with a non-zero status of {shown}. Termination reason: Error."},
    }


def expanded(variables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The environment as the service makes it: `$(NAME)` is one of those before it, `$$` is `$`."""
    made: dict[str, str] = {}
    for each in variables:
        made[each["name"]] = _REFERENCE.sub(lambda found: "$" if found[0] == "$$" else made.get(found[1], found[0]), each["value"])
    return made
