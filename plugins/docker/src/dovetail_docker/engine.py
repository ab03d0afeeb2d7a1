"""The connection to a Docker-compatible engine, and its errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dovetail.errors import ConfigurationError, StepFailed

if TYPE_CHECKING:
    from docker import DockerClient

_CURES = {
    "could not select device driver": "It has no GPUs to give: install the NVIDIA container toolkit on its machine, ask for none, or add `waive: [resources.gpu]` to the stack file.",
    "unable to start container process": "Check that the image has the component's `python`, and that its `volumes` and `user` are right.",
    "no such host": "Check the image's name, and that the engine can reach the registry; or put the image there first (`docker pull`, `docker load`).",
    "dial tcp": "Check the image's name, and that the engine can reach the registry; or put the image there first (`docker pull`, `docker load`).",
}  # fmt: skip
_SECONDS = 60  # until an engine that does not answer counts as away


def connect(host: str | None, at_once: int) -> DockerClient:
    """A client for several threads, of which `at_once` wait. Raises ConnectionError."""
    import docker

    with translated(host):
        pool = 2 * at_once + 4
        if host is not None:
            return docker.DockerClient(base_url=host, timeout=_SECONDS, max_pool_size=pool, version="auto")
        return docker.from_env(timeout=_SECONDS, max_pool_size=pool, version="auto")


@contextmanager
def translated(host: str | None, what: str = "") -> Iterator[None]:
    """ConnectionError for an engine that is away, StepFailed or ConfigurationError for what it refuses."""
    import requests
    from docker.errors import APIError, DockerException, ImageNotFound
    from docker.errors import NotFound as DockerNotFound

    try:
        yield
    except ImageNotFound as error:
        raise ConfigurationError(f"The image for {what} is neither here nor in its registry: {error.explanation}") from error
    except DockerNotFound:
        raise
    except APIError as error:
        said = str(error.explanation or error)
        if "pull access denied" in said or error.status_code == 404:
            raise ConfigurationError(f"The image for {what} cannot be pulled: {said}. Check its name, and log in to its registry.") from error
        raise StepFailed(f"The container engine refused {what or 'the request'}: {said.rstrip('.')}. {_cure(said)}") from error
    except (DockerException, requests.exceptions.RequestException) as error:
        where = host or "of DOCKER_HOST or the local socket"
        raise ConnectionError(
            f"The container engine {where} does not answer: {error}. Start it, or set `host` of the component to where it is."
        ) from error


def _cure(said: str) -> str:
    for sign, cure in _CURES.items():
        if sign in said:
            return cure
    return "Correct the step's settings or the component's configuration, or ask who runs the engine."
