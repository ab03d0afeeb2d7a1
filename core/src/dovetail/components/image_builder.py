"""Builds container images."""

from __future__ import annotations

import platform
import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dovetail.components.component import Component
from dovetail.errors import ImageError

if TYPE_CHECKING:
    from dovetail.components.container_registry import ContainerRegistry


_LAST_LINES = 20


class ImageBuilder(Component):
    """Builds what a Dockerfile says. What goes into one is decided elsewhere; credentials that a build needs must not stay in the image."""

    component_type: ClassVar[str] = "image_builder"

    @abstractmethod
    def find(self, reference: str) -> bool:
        """Whether it holds an image of that name, so that it could be run or pushed. Raises ImageError where it cannot tell."""

    @abstractmethod
    def build(self, context: Path, reference: str) -> None:
        """Build the folder's `Dockerfile` under that name. Raises ImageError with the end of the log, and the line that failed."""

    @abstractmethod
    def push(self, reference: str, registry: ContainerRegistry) -> None:
        """Hand an image that it holds to the registry; returns when it is there. Raises ImageError."""

    def reference(self, repository: str, tag: str) -> str:
        """What an image is called by where the stack has no registry."""
        return f"{repository}:{tag}"

    def base_image(self, python: str) -> str:
        """What images are built from. `python`: such as `3.11`. It holds pip, `sh`, and apt where steps ask for Debian packages."""
        return f"python:{python}-slim"

    def traits(self) -> Mapping[str, str]:
        """What else of its configuration an image depends on: part of the image's name."""
        return {}

    def machine(self) -> str:
        """The processor that images are for, as Python names it on Linux: `x86_64`, `aarch64`."""
        return {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())

    def install(self, arguments: Sequence[str]) -> str:
        """The Dockerfile's line that has pip install this. Override it where pip needs indexes or credentials."""
        return f"RUN {shlex.join(['python', '-m', 'pip', 'install', *arguments])}"

    def versions_in(self, reference: str) -> Mapping[str, str] | None:
        """The distributions that an image holds, by normalised name; None where that cannot be told cheaply."""
        return None

    def failed(self, reference: str, log: str, dockerfile: str, step: int | None = None, hidden: Sequence[str] = ()) -> ImageError:
        """What to raise of a build that failed. `step`: the Dockerfile's instruction, the first being 1. `hidden`: texts to show nowhere."""
        for text in filter(None, hidden):
            log = log.replace(text, "********")
        instructions = [line for line in dockerfile.splitlines() if line.strip() and not line.startswith("#")]
        at = f" at `{instructions[step - 1][:300]}`" if step is not None and 0 < step <= len(instructions) else ""
        last = "\n".join(f"    {line}" for line in log.strip().splitlines()[-_LAST_LINES:])
        return ImageError(f"Image {reference} could not be built by image builder '{self.name}': it failed{at}. The last lines of its log:\n{last}")
