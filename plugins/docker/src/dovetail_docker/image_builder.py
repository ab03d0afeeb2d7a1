"""Images built by a Docker-compatible engine."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.components import ContainerRegistry
from dovetail.errors import DovetailError, ImageError
from dovetail_docker.builder_options import BuilderOptions
from dovetail_docker.engine import connect

if TYPE_CHECKING:
    from docker import DockerClient

# Every engine knows this build argument, hands it to the instructions that run, and keeps it out of layers, image history
# and cache; that is why pip's configuration, which may hold a password, travels by it. Nothing here speaks FTP.
_CARRIER = "FTP_PROXY"
_FILE = "/dev/shm/pip.conf"  # noqa: S108  # memory of the build's container, which no layer holds
LIST_VERSIONS = "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"


class DockerImageBuilder(BuilderOptions):
    """Builds, keeps and pushes images by the engine that `host` or DOCKER_HOST names, with its classic builder: buildx is not needed."""

    host: str | None = field(
        default=None, metadata={"help": "Address of the engine, as unix:///run/docker.sock or tcp://host:2376; DOCKER_HOST, else the local one, when not set."}
    )
    network: str | None = field(default=None, metadata={"help": "The build's network, such as 'host'; the engine's default when not set."})

    def install(self, arguments: Sequence[str]) -> str:
        plain = shlex.join(["python", "-m", "pip", "install", *arguments])
        if not self.pip_configuration():
            return f"RUN {plain}"
        return f'RUN printf %s "${_CARRIER}" > {_FILE}; PIP_CONFIG_FILE={_FILE} {plain}; ended=$?; rm -f {_FILE}; exit $ended'

    def find(self, reference: str) -> bool:
        return self._image(reference) is not None

    def build(self, context: Path, reference: str) -> None:
        from docker.errors import APIError, BuildError

        arguments = {name: value for name, value in ((_CARRIER, self.pip_configuration()),) if value}
        dockerfile = (context / "Dockerfile").read_text(encoding="utf-8")
        log: list[Mapping[str, Any]] = []
        try:
            with self._client() as client:
                answers = client.api.build(
                    path=str(context), tag=reference, rm=True, forcerm=True, decode=True, platform=self.platform, network_mode=self.network,
                    buildargs={**self.build_args, **arguments},
                )  # fmt: skip
                log.extend(answers)
        except (BuildError, APIError, OSError) as error:
            log.append({"error": str(getattr(error, "explanation", None) or error)})
        if any("error" in entry for entry in log):
            said = "".join(str(entry.get("stream") or entry.get("error") or "") for entry in log)
            raise self.failed(reference, said, dockerfile, _last_step(log), self.hidden()) from None

    def push(self, reference: str, registry: ContainerRegistry) -> None:
        from docker.errors import APIError

        credentials = registry.credentials()
        login = {"username": credentials.username, "password": credentials.password.reveal()} if credentials else None
        try:
            with self._client() as client:
                answers = list(client.api.push(reference, stream=True, decode=True, auth_config=login))
            problem = next((str(answer["error"]) for answer in answers if "error" in answer), None)
        except (APIError, OSError) as error:
            problem = str(getattr(error, "explanation", None) or error)
        if problem is not None:
            raise ImageError(
                f"Image {reference} could not be pushed to container registry '{registry.name}': {problem}. Check its uri, and that its user may write there."
            )

    def versions_in(self, reference: str) -> Mapping[str, str] | None:
        """Asked of a container of the image, once per image; None where the engine does not have the image."""
        image = self._image(reference)
        if image is None:
            return None
        known: dict[str, Mapping[str, str]] = self.__dict__.setdefault("_versions", {})
        if image not in known:
            known[image] = listed_versions(self._said_in(image, reference))
        return known[image]

    def _said_in(self, image: str, reference: str) -> str:
        """What the question prints in a container of the image."""
        from docker.errors import APIError

        with self._client() as client:
            made = client.containers.create(image, ["-c", LIST_VERSIONS], entrypoint=["python"], network_mode="none")
            try:
                made.start()
                code, said = made.wait()["StatusCode"], made.logs(stderr=False).decode()
                problem = made.logs().decode("utf-8", "replace") if code else ""
            except APIError as error:
                problem, said = str(error.explanation or error), ""
            finally:
                made.remove(force=True)
        if problem:
            raise ImageError(f"Image {reference} has no `python` that starts: {problem.strip().splitlines()[-1]}. Steps need one on its PATH.")
        return said

    def check(self) -> list[str]:
        try:
            with self._client() as client:
                client.ping()
        except (DovetailError, OSError) as error:
            return [f"Image builder '{self.name}' cannot build: {error}"]
        return []

    def _image(self, reference: str) -> str | None:
        """Its id."""
        from docker.errors import APIError, ImageNotFound

        try:
            with self._client() as client:
                return str(client.images.get(reference).id)
        except ImageNotFound:
            return None
        except (APIError, OSError) as error:
            raise ImageError(f"Image builder '{self.name}' cannot tell whether there is an image {reference}: {error}") from None

    @contextlib.contextmanager
    def _client(self) -> Iterator[DockerClient]:
        """Raises ImageError where the engine does not answer."""
        try:
            made = connect(self.host, 1)
        except (ConnectionError, DovetailError) as error:
            raise ImageError(str(error)) from error
        made.api.timeout = None  # a line of a build may take long to appear
        with contextlib.closing(made):
            yield made


def listed_versions(said: str) -> Mapping[str, str]:
    """What LIST_VERSIONS printed, with names normalised."""
    listed = json.loads(said.strip().splitlines()[-1])
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in listed.items() if name}


def _last_step(log: Iterable[Mapping[str, Any]]) -> int | None:
    """Which of the Dockerfile's instructions was begun last."""
    said = "".join(str(entry.get("stream") or "") for entry in log)
    found = re.findall(r"^(?:Step|STEP) (\d+)/\d+ ?:", said, re.MULTILINE)
    return int(found[-1]) if found else None
