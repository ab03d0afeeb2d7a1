"""Mirrors model versions and their stages to a registry that other tools read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from dovetail.components.component import Component
from dovetail.values.encoding import Json


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One version of a model, as Dovetail numbers it.

    `stage`: none, staging, production or archived. `run_id`, `run_name`, `pipeline`: the run that made it. `model`: the
    local folder of the model's payload and `type` what it was in Python, where one output of the run is a model;
    `materializer`, `materializers` and `trusted` serve to read it, as a `Deployment`'s do. `url`: where a person sees it;
    only what a registry gives back has one, and of the model itself it need give back nothing.
    """

    name: str
    version: int
    stage: str = "none"
    run_id: str = ""
    run_name: str = ""
    pipeline: str = ""
    description: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    model: Path | None = None
    type: str = ""
    materializer: str = ""
    materializers: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False
    url: str | None = None


class ModelRegistry(Component):
    """The ledger is the truth of versions and stages; a registry is told of them, so an error in it fails neither run nor promotion."""

    component_type: ClassVar[str] = "model_registry"

    @abstractmethod
    def register(self, entry: RegistryEntry) -> None:
        """Make the version known under its own number or one that leads to it; once more changes nothing but what is said of it."""

    @abstractmethod
    def set_stage(self, name: str, version: int, stage: str) -> None:
        """Give a registered version its stage; whichever held `staging` or `production` before is archived.

        Raises NotFound for a version that is not registered.
        """

    @abstractmethod
    def versions(self, name: str) -> Sequence[RegistryEntry]:
        """All that it knows of a model, newest first; nothing for a model that it does not know."""

    @abstractmethod
    def delete(self, name: str, version: int) -> None:
        """Forget a version; no error where it is not known."""
