"""Keeps secret values outside stack files and records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from dovetail.components.component import Component, Secret


class SecretStore(Component):
    """A secret has a name and one or more keys; `{{ name.key }}` in a configuration refers to one value."""

    component_type: ClassVar[str] = "secret_store"

    @abstractmethod
    def get(self, name: str) -> Mapping[str, Secret]:
        """All keys of a secret. Raises NotFound, with near names, when there is none."""

    @abstractmethod
    def put(self, name: str, values: Mapping[str, str]) -> None:
        """Set a secret's keys; keys that are not given stay as they are."""

    @abstractmethod
    def names(self) -> Sequence[str]: ...

    @abstractmethod
    def delete(self, name: str) -> None:
        """Raises NotFound when there is none."""
