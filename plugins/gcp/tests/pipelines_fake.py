"""Vertex AI Pipelines on loopback: the very pipeline that a request describes is carried out, by Kubeflow's own local runner.

    with KfpRunner(engine.host) as runner:
        PipelinesFake(google, runner, volumes=mounted_sources())
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from google_fake import Asked, GoogleFake, Problem

PARENT = r"/v1/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_GRACE = 3
_STARTABLE = ("PIPELINE_STATE_PENDING", "PIPELINE_STATE_RUNNING")


class KfpRunner:
    """The process of kfp_runner.py. `order`: as there."""

    def __init__(self, host: str, order: str = "vertex") -> None:
        self.host, self.order = host, order
        self._told: dict[str, Callable[[dict[str, Any]], None]] = {}

    def __enter__(self) -> KfpRunner:
        self.folder = Path(tempfile.mkdtemp(prefix="dvk-"))
        command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("kfp_runner.py"))]
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env={**os.environ})
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._thread.join(_GRACE)
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def carry_out(self, number: str, job: dict[str, Any], volumes: Sequence[str], told: Callable[[dict[str, Any]], None]) -> Path:
        """Begin with it; `told` hears what happens."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "spec.json").write_text(json.dumps(job["pipelineSpec"]))
        fail_fast = job["runtimeConfig"].get("failurePolicy") == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
        self._told[place.name] = told
        asked = {"id": place.name, "folder": str(place), "order": self.order, "volumes": list(volumes), "host": self.host, "fail_fast": fail_fast}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return place

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            facts = json.loads(line)
            self._told[facts.pop("id")](facts)


class PipelinesFake:
    """`engine`: a client of the docker SDK. Without a runner jobs stay pending."""

    def __init__(self, google: GoogleFake, runner: KfpRunner | None = None, engine: Any = None, volumes: Sequence[str] = ()) -> None:
        self.google, self.runner, self.engine, self.volumes = google, runner, engine, list(volumes)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self._places: dict[str, Path] = {}
        self._containers: dict[str, str] = {}  # by the number of the CustomJob that a task is run by
        self._numbers = itertools.count(5000000000000000000)
        google.route("POST", f"{PARENT}/pipelineJobs", self._create)
        google.route("GET", f"{PARENT}/pipelineJobs", lambda _: {"pipelineJobs": list(self.jobs.values())})
        google.route("GET", f"{PARENT}/pipelineJobs/(?P<id>[^/:]+)", self._get)
        google.route("POST", f"{PARENT}/pipelineJobs/(?P<id>[^/:]+):cancel", self._cancel)
        google.route("POST", f"{PARENT}/schedules", self._schedule)
        google.route("GET", f"{PARENT}/schedules", self._list_schedules)
        google.route("DELETE", f"{PARENT}/schedules/(?P<id>[^/:]+)", self._unschedule)
        google.route("POST", "/v2/entries:list", self._entries)

    def close(self) -> None:
        """Nothing that was begun goes on."""
        for place in self._places.values():
            (place / "cancel").touch()
            for container in self.engine.containers.list(all=True, filters={"label": f"vertex={place.name}"}):
                container.remove(force=True)

    def run_schedule(self, address: str) -> dict[str, Any]:
        """What its clock would do."""
        body = self.schedules[address]["createPipelineJobRequest"]
        match = re.fullmatch(PARENT, f"/v1/{body['parent']}")
        assert match is not None
        return self._create(Asked("POST", "", {"pipelineJobId": f"scheduled-{next(self._numbers)}"}, body["pipelineJob"], {}, match.groupdict()))

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _create(self, asked: Asked) -> dict[str, Any]:
        number = asked.query.get("pipelineJobId", "")
        if not _ID.fullmatch(number):
            raise Problem(400, "INVALID_ARGUMENT", f"Invalid pipelineJobId {number!r}.")
        if not str(asked.body.get("runtimeConfig", {}).get("gcsOutputDirectory", "")).startswith("gs://"):
            raise Problem(400, "INVALID_ARGUMENT", "runtimeConfig.gcsOutputDirectory is required.")
        with self.google.lock:
            if number in self.jobs:
                raise Problem(409, "ALREADY_EXISTS", f"PipelineJob {number} already exists.")
            name = f"projects/{asked.parts['project']}/locations/{asked.parts['location']}/pipelineJobs/{number}"
            job = {**asked.body, "name": name, "state": "PIPELINE_STATE_PENDING", "jobDetail": {"taskDetails": []}}
            self.jobs[number] = job
            if self.runner is not None:
                self._places[number] = self.runner.carry_out(number, job, self.volumes, lambda facts: self._told(job, facts))
                job["state"] = "PIPELINE_STATE_RUNNING"
        return dict(job)

    def _told(self, job: dict[str, Any], facts: dict[str, Any]) -> None:
        with self.google.lock:
            if "ended" in facts:
                self._ended(job, done=facts["ended"])
                return
            if facts["state"] == "RUNNING":
                number = str(next(self._numbers))
                self._containers[number] = facts["container"]
                custom = job["name"].rpartition("/pipelineJobs/")[0] + f"/customJobs/{number}"
                detail = {"taskId": number, "taskName": facts["task"], "executorDetail": {"containerDetail": {"mainJob": custom}}}
                job["jobDetail"]["taskDetails"].append(detail)
            detail = next(each for each in reversed(job["jobDetail"]["taskDetails"]) if each["taskName"] == facts["task"])
            detail["state"] = facts["state"]
            if facts["state"] == "FAILED":
                shown = "9(SIGKILL)" if facts["code"] == 137 else facts["code"]
                detail["error"] = {"code": 9, "message": f"The replica workerpool0-0 exited with a non-zero status of {shown}. Termination reason: Error."}

    def _ended(self, job: dict[str, Any], *, done: bool) -> None:
        failed = [each["taskName"] for each in job["jobDetail"]["taskDetails"] if each.get("state") == "FAILED"]
        if job["state"] == "PIPELINE_STATE_CANCELLING":
            job |= {"state": "PIPELINE_STATE_CANCELLED", "error": {"code": 1, "message": "The pipeline run was cancelled."}}
        elif done:
            job["state"] = "PIPELINE_STATE_SUCCEEDED"
        else:
            job |= {"state": "PIPELINE_STATE_FAILED", "error": {"code": 9, "message": f"The DAG failed because some tasks failed. The failed tasks are: [{', '.join(failed)}]."}}

    def _job(self, asked: Asked) -> dict[str, Any]:
        if asked.parts["id"] not in self.jobs:
            raise Problem(404, "NOT_FOUND", f"The PipelineJob does not exist: {asked.path}")
        return self.jobs[asked.parts["id"]]

    def _get(self, asked: Asked) -> dict[str, Any]:
        with self.google.lock:
            found: dict[str, Any] = json.loads(json.dumps(self._job(asked)))
        return found

    def _cancel(self, asked: Asked) -> dict[str, Any]:
        job = self._job(asked)
        with self.google.lock:
            if job["state"] not in _STARTABLE:
                raise Problem(400, "FAILED_PRECONDITION", f"Cannot cancel a job in state {job['state']}.")
            place = self._places.get(asked.parts["id"])
            job["state"] = "PIPELINE_STATE_CANCELLED" if place is None else "PIPELINE_STATE_CANCELLING"
        if place is not None:
            (place / "cancel").touch()
            for container in self.engine.containers.list(filters={"label": f"vertex={place.name}"}):
                container.stop(timeout=_GRACE)
        return {}

    def _entries(self, asked: Asked) -> dict[str, Any]:
        """Of what a task's container said, the last first."""
        wanted = re.search(r'resource\.labels\.job_id="(\d+)"', asked.body["filter"])
        if wanted is None or wanted[1] not in self._containers:
            return {}
        lines = self.engine.containers.get(self._containers[wanted[1]]).logs().decode("utf-8", "replace").splitlines()
        entries = [{"jsonPayload": {"message": f"{line}\n"}, "resource": {"type": "ml_job"}} for line in reversed(lines)]
        return {"entries": entries[: asked.body.get("pageSize", 50)]}

    # -- schedules -----------------------------------------------------------------------------------------------------

    def _schedule(self, asked: Asked) -> dict[str, Any]:
        body = asked.body
        for needed in ("displayName", "cron", "maxConcurrentRunCount", "createPipelineJobRequest"):
            if not body.get(needed):
                raise Problem(400, "INVALID_ARGUMENT", f"{needed} is required.")
        if "pipelineJobId" in body["createPipelineJobRequest"]:
            raise Problem(400, "INVALID_ARGUMENT", "pipelineJobId is made for each run.")
        address = f"projects/{asked.parts['project']}/locations/{asked.parts['location']}/schedules/{next(self._numbers)}"
        self.schedules[address] = {**body, "name": address, "state": "ACTIVE"}
        return self.schedules[address]

    def _list_schedules(self, asked: Asked) -> dict[str, Any]:
        wanted = re.fullmatch(r'display_name="(.*)"', asked.query.get("filter", ""))
        return {"schedules": [each for each in self.schedules.values() if wanted is None or each["displayName"] == wanted[1]]}

    def _unschedule(self, asked: Asked) -> dict[str, Any]:
        address = asked.path.removeprefix("/v1/")
        if address not in self.schedules:
            raise Problem(404, "NOT_FOUND", f"The Schedule does not exist: {address}")
        del self.schedules[address]
        return {"name": f"{address}/operations/1", "done": True, "response": {}}
