"""Workers in containers of a Docker-compatible engine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dovetail.components.component import Capability
from dovetail.components.job import Job, RunningJob
from dovetail.components.runner import Runner
from dovetail.errors import ConfigurationError, ImageError
from dovetail_docker.engine import connect, translated
from dovetail_docker.image_builder import LIST_VERSIONS, listed_versions

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_versions: dict[tuple[Any, ...], Mapping[str, str]] = {}  # of an image, as containers of one configuration see it
_GRACE = 3  # seconds between asking a container to end and ending it; less than a run waits for steps that it asked to stop
_SHOWN = 30  # lines of its log
_REMOVED = (404, 409)  # what an engine answers of a container that is gone, or about to be


class ContainerEngine(Runner):
    """Where containers run, and what they are given besides the step's own settings."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.PARALLEL,
            Capability.REMOTE,
            Capability.RESOURCES,
            Capability.GPUS,
            Capability.RETRIES,
            Capability.TIMEOUTS,
            Capability.ENVIRONMENT_VARIABLES,
            Capability.ENVIRONMENTS,
            Capability.MAP,
            Capability.CONDITIONS,
        }
    )
    runs_images: ClassVar[bool] = True

    host: str | None = field(
        default=None, metadata={"help": "Address of the engine, as unix:///run/docker.sock or tcp://host:2376; DOCKER_HOST, else the local one, when not set."}
    )
    image: str | None = field(default=None, metadata={"help": "Image for steps whose environment asks for nothing; one is built when not set."})
    workers: int = field(default=8, metadata={"help": "Containers that may run at once."})
    network: str | None = field(default=None, metadata={"help": "The containers' network: 'host', or the name of one; the engine's default when not set."})
    volumes: list[str] = field(default_factory=list, metadata={"help": "More folders to mount, as 'source:target' or 'source:target:ro'."})
    variables: dict[str, str] = field(default_factory=dict, metadata={"help": "Environment variables for every container."})
    user: str | None = field(
        default=None, metadata={"help": "User in the container, as 'uid:gid'; who submits the run where its folders are mounted, else the image's."}
    )
    python: str = field(default="python", metadata={"help": "The image's Python that has Dovetail."})
    pull: Literal["missing", "always"] = field(default="missing", metadata={"help": "When to pull an image from its registry."})
    shared_memory: str | None = field(default=None, metadata={"help": "Size of /dev/shm, as '1g'; the engine's default when not set."})
    init: bool = field(default=True, metadata={"help": "Run the engine's own small init before the worker, so that signals and orphans are handled."})
    keep: bool = field(default=False, metadata={"help": "Keep containers that have ended, to look into them."})

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError("workers is the number of containers that may run at once, 1 or more")

    def default_image(self) -> str | None:
        return self.image

    def shares_folders(self) -> bool:
        return self.host is None or self.host.startswith("unix:")

    def check(self) -> list[str]:
        try:
            with translated(self.host):
                self.client().ping()
        except ConnectionError as error:
            return [str(error)]
        return []

    def versions_in(self, image: str) -> Mapping[str, str] | None:
        """Asked of a container as steps get it, once per image; None for one that the engine has yet to pull."""
        from docker.errors import ImageNotFound

        client = self.client()
        with translated(self.host, f"the question what image {image} holds"):
            try:
                found = client.images.get(image).id
            except ImageNotFound:
                return None
            mark = (self.host, found, self.python, *self.volumes)
            if mark not in _versions:
                _versions[mark] = listed_versions(self._said_in(client, str(found), image))
        return _versions[mark]

    def _said_in(self, client: DockerClient, found: str, image: str) -> str:
        made = client.containers.create(found, [self.python, "-c", LIST_VERSIONS], network_mode="none", volumes=self.volumes, user=self.user)
        try:
            made.start()
            if made.wait()["StatusCode"] == 0:
                return str(made.logs(stderr=False).decode())
            problem = made.logs().decode("utf-8", "replace").strip() or "it said nothing"
        finally:
            made.remove(force=True)
        raise ImageError(f"The Python of image {image} does not start: {problem.splitlines()[-1]}. Set `python` to one that has Dovetail.")

    def client(self) -> DockerClient:
        made: DockerClient | None = self.__dict__.get("_client")
        if made is None:
            made = connect(self.host, self.workers)
            self._client = made
        return made

    def start(self, job: Job) -> RunningJob:
        return (self._with(job.settings) if job.settings else self)._start(job)

    def _with(self, settings: Mapping[str, Any]) -> ContainerEngine:
        """This one with other fields, for one job."""
        made = dataclasses.replace(self, **settings)
        if made.host == self.host:
            made._client = self.client()
        return made

    def _start(self, job: Job) -> RunningJob:
        from docker.errors import APIError, ImageNotFound

        image = job.image or self.image
        if image is None:
            raise ConfigurationError(f"Job {job.name} has no image. Add an image builder to the stack, or say Environment(image=…).")
        client = self.client()
        with translated(self.host, f"job {job.name} (image {image})"):
            if self.pull == "always":
                _pull(client, image, job)
            try:
                made = self._create(client, image, job)
            except ImageNotFound:
                _pull(client, image, job)
                made = self._create(client, image, job)
            except APIError as error:
                if error.status_code != 409:  # of that name there is one: whoever asked for it had lost the answer
                    raise
                made = client.containers.get(job.name)
            if made.status == "created":
                self._begin(made)
        return RunningContainer(made, self.host, keep=self.keep)

    def _begin(self, made: Container) -> None:
        from docker.errors import APIError

        try:
            made.start()
        except APIError:
            if not self.keep:
                with contextlib.suppress(APIError):
                    made.remove(force=True)
            raise

    def _create(self, client: DockerClient, image: str, job: Job) -> Container:
        return client.containers.create(image, [self.python, *job.command], name=job.name, labels=dict(job.labels), **self.options(job))

    def options(self, job: Job) -> dict[str, Any]:
        """What the engine is asked for besides image and command, as the docker SDK names it."""
        variables = {**self.variables, **job.variables, **job.credentials, **job.secrets}
        volumes = list(self.volumes)
        for folder in job.folders:
            folder.mkdir(parents=True, exist_ok=True)  # the engine would make it, as root
            volumes.append(f"{folder}:{folder}")
        user = self.user or (f"{os.getuid()}:{os.getgid()}" if job.folders else None)
        if user is not None:
            variables.setdefault("HOME", "/tmp")  # noqa: S108  # the user may have no home there
        asked = {
            "environment": variables, "volumes": volumes, "user": user, "network": self.network if self.network != "host" else None,
            "network_mode": "host" if self.network == "host" else None, "shm_size": self.shared_memory, "init": self.init, **_limits(job),
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value}


def _pull(client: DockerClient, image: str, job: Job) -> None:
    login = job.login
    client.images.pull(image, auth_config={"username": login.username, "password": login.password.reveal()} if login is not None else None)


def _limits(job: Job) -> dict[str, Any]:
    from docker.types import DeviceRequest

    resources = job.resources
    limits: dict[str, Any] = {}
    if resources.cpu:
        limits["nano_cpus"] = int(resources.cpu * 1e9)
    if resources.memory_bytes:
        limits["mem_limit"] = limits["memswap_limit"] = resources.memory_bytes
    if resources.gpu:
        limits["device_requests"] = [DeviceRequest(count=resources.gpu, capabilities=[["gpu"]])]
    return limits


class RunningContainer(RunningJob):
    def __init__(self, container: Container, host: str | None, *, keep: bool) -> None:
        self._container = container
        self._host = host
        self._keep = keep

    @property
    def address(self) -> str:
        return f"container {self._container.short_id} ({self._container.name})"

    def wait(self, seconds: float) -> int | None:
        from docker.errors import NotFound
        from requests.exceptions import ConnectionError as Disconnected
        from requests.exceptions import ReadTimeout

        with translated(self._host, self.address):
            try:
                return int(self._container.wait(timeout=seconds)["StatusCode"])
            except NotFound:
                return -1
            except ReadTimeout:
                return None
            except Disconnected as error:
                if "Read timed out" in str(error):
                    return None
                raise

    def stop(self) -> None:
        from docker.errors import APIError

        with translated(self._host, self.address):
            try:
                self._container.stop(timeout=_GRACE)
            except APIError as error:
                if error.status_code not in _REMOVED:
                    raise

    def explain(self) -> str:
        from docker.errors import APIError

        with translated(self._host, self.address):
            try:
                self._container.reload()
                said = self._container.logs(tail=_SHOWN).decode("utf-8", "replace").strip()
            except APIError as error:
                if error.status_code not in _REMOVED:
                    raise
                return "Its container has been removed."
        why = _cause(self._container.attrs)
        return " ".join(part for part in (why, f"It said last:\n{said}" if said else "") if part)

    def close(self) -> None:
        from docker.errors import APIError, NotFound

        if not self._keep:
            with translated(self._host, self.address), contextlib.suppress(NotFound, APIError):
                self._container.remove(force=True)


def _cause(found: Mapping[str, Any]) -> str:
    state, limit = found.get("State", {}), found.get("HostConfig", {}).get("Memory", 0)
    if state.get("OOMKilled"):
        return f"It ran out of memory; its limit was {limit / 2**20:.0f} MiB. Ask for more: Resources(memory=…)."
    return str(state.get("Error") or "")


