"""Keeps container images, where engines fetch them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from dovetail.components.component import Component, Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client logs in with. `server`: the host, with its port, that images' references begin with."""

    server: str
    username: str
    password: Secret


class ContainerRegistry(Component):
    """Names images, says which it holds, and who may push and pull. Image builders push; engines pull."""

    component_type: ClassVar[str] = "container_registry"

    uri: str = field(metadata={"help": "Where images go: host, port and folder, such as `registry.example.com/team`."})

    def reference(self, repository: str, tag: str) -> str:
        """What everybody calls an image by."""
        return f"{self.uri.strip('/')}/{repository}:{tag}"

    @abstractmethod
    def find(self, reference: str) -> str | None:
        """The digest of an image that it holds, None for one that it does not. Raises ImageError where it cannot tell."""

    def make_place(self, reference: str) -> None:  # most registries take whatever is pushed
        """Called before an image is pushed: make what it takes, such as a repository. Raises ImageError."""

    @abstractmethod
    def credentials(self) -> Credentials | None:
        """For pushing to it and pulling from it; None where clients need none, or have their own. Raises ImageError where there should be some."""
