"""A CustomJob of Vertex AI while it runs, and what its end tells."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dovetail.components.job import RunningJob
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.handed_secrets import take_back
from dovetail_gcp.vertex_client import VertexConnection

_ENDED = {"JOB_STATE_SUCCEEDED": 0, "JOB_STATE_FAILED": 1, "JOB_STATE_CANCELLED": 143, "JOB_STATE_EXPIRED": 124, "JOB_STATE_PARTIALLY_SUCCEEDED": 1}
_QUEUED = frozenset({"JOB_STATE_QUEUED", "JOB_STATE_PENDING"})
_CODE = re.compile(r"exited with a non-zero status of (\d+)(?:\s*\((SIG[A-Z]+)\))?")
_MEMORY = re.compile(r"out[- ]of[- ]memory|OOMKilled", re.IGNORECASE)
_IMAGE = re.compile(r"(pull\w*\b.*\bimage|image\b.*\b(pull|not found|does not exist)|ImagePullBackOff|ErrImagePull|downloadArtifacts)", re.IGNORECASE)
_LATE = (0.0, 1.0, 3.0)  # seconds before each look at the log, which comes after what it tells of


@contextmanager
def reached() -> Iterator[None]:
    """What may go well the next time is a ConnectionError, as the interface of jobs has it."""
    try:
        yield
    except GoogleError as error:
        if error.is_passing:
            raise ConnectionError(str(error)) from error
        raise


class RunningCustomJob(RunningJob):
    """`found`: the CustomJob as the service gave it. It is looked at every `every` seconds, however often somebody waits.

    `handed`: there may be secrets that lie in Secret Manager for it.
    """

    def __init__(self, at: VertexConnection, found: Mapping[str, Any], every: float, *, handed: bool = False) -> None:
        self._at = at
        self._handed = handed
        self._found = found
        self._name = str(found["name"])
        self._every = every
        self._next = time.monotonic()
        self._gone = False

    @property
    def address(self) -> str:
        return f"{self._name} ({self._at.console(f'locations/{self._at.location}/training/{self.number}')})"

    @property
    def number(self) -> str:
        return self._name.rpartition("/")[2]

    def wait(self, seconds: float) -> int | None:
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if now >= self._next:
                self._look()
            code = self._code()
            if code is not None or now >= until:
                return code
            time.sleep(max(0.0, min(self._next, until) - time.monotonic()))

    def _look(self) -> None:
        self._next = time.monotonic() + self._every
        try:
            with reached():
                self._found = self._at.vertex("GET", self._name, self._what())
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise
            self._gone = True

    def _code(self) -> int | None:
        if self._gone:
            return -1
        ended = _ENDED.get(str(self._found.get("state")))
        said = _CODE.search(self._problem()) if ended == 1 else None
        if said is None:
            return ended
        return 128 + int(said[1]) if said[2] and int(said[1]) < 128 else int(said[1])

    def queued(self) -> bool:
        return self._found.get("state") in _QUEUED

    def _problem(self) -> str:
        return str((self._found.get("error") or {}).get("message", ""))

    def stop(self) -> None:
        try:
            with reached():
                self._at.vertex("POST", f"{self._name}:cancel", self._what(), {}, again=True)
        except GoogleError as error:
            if error.kind is not Kind.ABSENT and error.reason != "FAILED_PRECONDITION":  # of one that has ended
                raise
        self._next = time.monotonic()

    def close(self) -> None:
        if self._handed and (self._gone or self._found.get("state") in _ENDED):
            take_back(self._at, str(self._found["displayName"]))

    def explain(self) -> str:
        if self._gone:
            return "Its job has been deleted."
        problem = " ".join(self._problem().split())
        why = f"{problem.rstrip('.')}. {self._cure(problem)}".strip() if problem else ""
        said = self._log()
        return " ".join(part for part in (why, f"It said last:\n{said}" if said else "") if part)

    def _cure(self, problem: str) -> str:
        if _MEMORY.search(problem):
            machine = self._pool().get("machineSpec", {}).get("machineType", "machine")
            return f"It ran on {machine}; ask for more: Resources(memory=…), or set `machine_type`."
        if _IMAGE.search(problem):
            image = self._pool().get("containerSpec", {}).get("imageUri", "")
            return unpulled(image, self._at.project_id())
        return ""

    def _pool(self) -> Mapping[str, Any]:
        pools: Any = self._found.get("jobSpec", {}).get("workerPoolSpecs") or [{}]
        found: Mapping[str, Any] = pools[0]
        return found

    def _log(self) -> str:
        wanted = f'resource.type="ml_job" AND resource.labels.job_id="{self.number}"'
        for pause in _LATE:
            time.sleep(pause)
            try:
                lines = self._at.log_lines(wanted)
            except GoogleError as error:
                return f"Its log could not be read: {error}"
            if lines:
                return "\n".join(lines)
        return ""

    def _what(self) -> str:
        return f"Vertex AI, asked for job {self._name},"


def is_memory_problem(said: str) -> bool:
    return _MEMORY.search(said) is not None


def is_image_problem(said: str) -> bool:
    return _IMAGE.search(said) is not None


def unpulled(image: str, project: str) -> str:
    """What to do about an image that the service may not, or cannot, pull."""
    place = re.fullmatch(r"([a-z0-9-]+)-docker\.pkg\.dev/([^/]+)/([^/]+)/.*", image)
    if place is None:
        return (
            f"Push {image or 'the image'} to Artifact Registry, where Vertex AI can pull it: add a container registry of flavor `gar` to the stack."
        )
    location, owner, repository = place.groups()
    agent = (
        f"serviceAccount:service-$(gcloud projects describe {project} --format='value(projectNumber)')@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
    )
    return (
        f"If it is there (`gcloud artifacts docker images describe {image}`), let Vertex AI's account read it: `gcloud artifacts repositories "
        f'add-iam-policy-binding {repository} --project={owner} --location={location} --role=roles/artifactregistry.reader --member="{agent}"`.'
    )
