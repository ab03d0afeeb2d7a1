"""A stack of components that exist already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from dovetail.components.component import Component
from dovetail.registry import Registry
from dovetail.stack.stack import ComponentSpec, Stack
from dovetail.values.encoding import Json
from dovetail.values.imports import load_object
from dovetail.values.project import Project

UNDECLARED = "undeclared"  # the flavor of a class that no installed plugin declares
_NEEDED = ("orchestrator", "artifact_store")
C = TypeVar("C", bound=Component)


class GivenStack(Stack):
    """A stack of these very components. Where it has to make one anew, or another process has to, it is made alike."""

    def __init__(
        self, given: Iterable[Component], specs: Sequence[ComponentSpec], registry: Registry, project: Project, waive: Sequence[str] = (),
        name: str = "contract",
    ) -> None:  # fmt: skip
        super().__init__(name, specs, registry=registry, project=project, waive=waive)
        self._given = {component.component_type: component for component in given}
        for kind, component in self._given.items():
            spec = self.components[kind]
            self._built[kind] = component.called(spec.name, spec.flavor)

    def snapshot(self) -> dict[str, Json]:
        """Without mirrors and servers that no installed plugin declares: another process could not make them, and goes on without."""
        taken = super().snapshot()
        components: Any = taken["components"]
        left_out = {kind for kind, entry in components.items() if entry["flavor"] == UNDECLARED and kind not in _NEEDED}
        return {**taken, "components": {kind: entry for kind, entry in components.items() if kind not in left_out}}

    def _make(self, spec: ComponentSpec, settings: Mapping[str, Json]) -> Component:
        if spec.flavor != UNDECLARED:
            return super()._make(spec, settings)
        return alike(self._given[spec.component_type], **settings).called(spec.name, spec.flavor)


def alike(component: C, **changes: Any) -> C:
    """Another component of the same configuration, as another process would make it."""
    return type(component)(**{**component.configuration(), **changes})


def flavor_of(cls: type[Component], registry: Registry) -> str:
    """The name under which an installed plugin declares the class."""
    top = cls.__module__.partition(".")[0]
    for spec in registry.flavors(cls.component_type):
        if spec.target.partition(":")[0].partition(".")[0] == top and load_object(spec.target) is cls:
            return spec.name
    return UNDECLARED
