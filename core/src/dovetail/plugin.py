"""What a plugin's entry-point module imports: cheap to import, and enough to declare everything that a plugin offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pluggy

from dovetail.materializers.interface import MaterializerSpec

__all__ = ["ComponentType", "FlavorSpec", "MaterializerSpec", "hookimpl"]

hookimpl = pluggy.HookimplMarker("dovetail")


@dataclass(frozen=True, slots=True)
class FlavorSpec:
    """Declares one implementation of a component type; importing the declaration imports no vendor library.

    `target`: import string (`package.module:Class`). `requires`: requirement strings of the libraries it imports when it
    works. `help`: one line.
    """

    name: str
    target: str
    requires: Sequence[str] = ()
    help: str = ""


@dataclass(frozen=True, slots=True)
class ComponentType:
    """A kind of component. `name`: in the singular with underscores. `hook`: the hook that supplies its flavors.

    `interface`: import string of the class that its flavors subclass, None while no interface has been published.
    """

    name: str
    hook: str
    interface: str | None
    help: str = ""
    short: str | None = None

    @property
    def option(self) -> str:
        return self.name.replace("_", "-")
