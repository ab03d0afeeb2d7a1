"""A stack: which component does what, as references; components are made, and secrets resolved, when one is asked for."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast, overload

from dovetail.components.component import Component, Secret
from dovetail.components.secret_store import SecretStore
from dovetail.errors import ConfigurationError, DovetailError
from dovetail.registry import Registry
from dovetail.stack.configuration import constructor_arguments
from dovetail.stack.fields import field_types, mentions, secret_fields
from dovetail.stack.handing import all_handed, handed
from dovetail.stack.references import HIDDEN, References, has_reference, mentioned, redact
from dovetail.values.encoding import Json
from dovetail.values.project import Project

C = TypeVar("C", bound=Component)


OF_THE_SUBMITTER = ("orchestrator", "image_builder", "container_registry")  # types of component that no worker asks

@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One component of a stack as it is written down: references in `configuration` stand as they are."""

    component_type: str
    flavor: str
    name: str
    configuration: Mapping[str, Json] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.component_type.replace('_', ' ').capitalize()} '{self.name}'"

    def to_json(self) -> dict[str, Json]:
        return {"flavor": self.flavor, "name": self.name, "configuration": dict(self.configuration)}


class Stack:
    """`components`: specs by component type. `waive`: settings that this stack may leave unhonoured, as `resources.gpu`.

    `elsewhere`: steps are not run where the pipeline was. Bound to the registry and the project that it is used with; components are made once and kept.
    """

    def __init__(
        self,
        name: str,
        components: Iterable[ComponentSpec],
        *,
        registry: Registry,
        project: Project,
        waive: Iterable[str] = (),
        environ: Mapping[str, str] = os.environ,
        elsewhere: bool = False,
    ) -> None:
        self.name = name
        self.elsewhere = elsewhere
        self.components: Mapping[str, ComponentSpec] = MappingProxyType({spec.component_type: spec for spec in components})
        self.waive = tuple(waive)
        self.registry = registry
        self.project = project
        self._references = References(environ, self.secret)
        self._built: dict[str, Component] = {}
        self._secrets: dict[str, Mapping[str, Secret]] = {}
        self._locks: dict[str, threading.RLock] = {kind: threading.RLock() for kind in self.components}
        self._secret_lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Stack({self.name!r}, {', '.join(f'{spec.component_type}={spec.name}' for spec in self.components.values())})"

    @overload
    def build(self, component: type[C]) -> C | None: ...
    @overload
    def build(self, component: str) -> Component | None: ...
    def build(self, component: str | type[C]) -> Component | None:
        """The component of a type, given by name or interface; None where the stack has none. Made once."""
        kind = component if isinstance(component, str) else component.component_type
        if kind not in self.components:
            return None
        with self._locks[kind]:  # one for each, so that a component that hangs keeps no other from being made
            if kind not in self._built:
                self._built[kind] = self._make(self.components[kind], {})
            return self._built[kind]

    def present(self) -> list[Component]:
        """All components; elsewhere those that can be made there."""
        made: list[Component] = []
        for kind in self.components:
            with contextlib.suppress(*(DovetailError,) if self.elsewhere else ()):
                made += [component for component in [self.build(kind)] if component is not None]
        return made

    @overload
    def with_settings(self, component: type[C], settings: Mapping[str, Any] = ...) -> C | None: ...
    @overload
    def with_settings(self, component: str, settings: Mapping[str, Any] = ...) -> Component | None: ...
    def with_settings(self, component: str | type[C], settings: Mapping[str, Any] = MappingProxyType({})) -> Component | None:
        """A new component of that type whose fields `settings` override; None where the stack has none.

        Raises ConfigurationError for a key that is no field, a value of a wrong type, or a secret that is no reference.
        """
        kind = component if isinstance(component, str) else component.component_type
        if kind not in self.components:
            return None
        spec = self.components[kind]
        return self._make(spec, self.checked_settings(kind, settings) if settings else {})

    def checked_settings(self, component_type: str, settings: Mapping[str, Any]) -> dict[str, Json]:
        """The settings as JSON of the fields' types, or ConfigurationError with everything that is wrong with them."""
        from dovetail.stack.validation import validate

        spec = self.components[component_type]
        cls = self.registry.declared_class(component_type, spec.flavor)
        merged = validate(cls, {**spec.configuration, **settings})
        problems = [*merged.problems, *(literal_problem(key) for key in literal_secrets(cls, merged.configuration))]
        if problems:
            raise ConfigurationError(f"Settings for {spec.title} (flavor {spec.flavor}) do not fit: {' '.join(problems)}")
        return {key: merged.configuration[key] for key in settings if key in merged.configuration}

    def _make(self, spec: ComponentSpec, settings: Mapping[str, Json]) -> Component:
        cls = self.registry.component_class(spec.component_type, spec.flavor)
        configuration = {**spec.configuration, **settings}
        if cls.confined and self.elsewhere:
            raise ConfigurationError(
                f"{spec.title} of stack '{self.name}' works only on the machine that runs the pipeline, and this step runs elsewhere. "
                f"Use another flavor, or a stack whose orchestrator runs steps there."
            )
        for key in literal_secrets(cls, configuration):
            raise ConfigurationError(f"{spec.title} of stack '{self.name}': {literal_problem(key)}")
        resolved = self._references.resolve(configuration, f"{spec.title} of stack '{self.name}'")
        self._references.revealed.update(_texts([resolved[key] for key in secret_fields(cls) if key in resolved]))
        try:
            made = cls(**constructor_arguments(cls, resolved, self.project.root))
        except (Exception, SystemExit) as error:
            said = str(error) if isinstance(error, (DovetailError, TypeError, ValueError)) else f"{type(error).__name__}: {error}"
            reason = redact(said, self.secrets())
            raise ConfigurationError(
                f"{spec.title} of stack '{self.name}' (flavor {spec.flavor}) cannot be made: {reason}"
            ) from None
        return made.called(spec.name, spec.flavor)

    def secret(self, name: str) -> Mapping[str, Secret]:
        """All keys of a secret that are known here. Raises NotFound."""
        with self._secret_lock:
            if name not in self._secrets:
                given = handed(name)
                self._secrets[name] = self.secret_store().get(name) if given is None else given
            return self._secrets[name]

    def secret_store(self) -> SecretStore:
        """The stack's own, else the built-in one."""
        spec = self.components.get("secret_store")
        if spec is None:
            local = self.registry.component_class("secret_store", "local")
            return cast(SecretStore, local().called("local", "local"))
        if any("{{" in text for text in _texts(list(spec.configuration.values())) if has_reference(text)):
            raise ConfigurationError(
                f"{spec.title} of stack '{self.name}' refers to a secret, which only it could resolve. Refer to a variable, as ${{TOKEN}}."
            )
        return cast(SecretStore, self.build("secret_store"))

    def anchored(self, component_type: str) -> dict[str, Json]:
        """A component's configuration for another process here: relative paths made absolute, references as they are."""
        spec = self.components[component_type]
        hints = field_types(self.registry.declared_class(component_type, spec.flavor))
        return {
            key: str(self.project.root / Path(value).expanduser())
            if isinstance(value, str) and not has_reference(value) and mentions(hints.get(key), Path)
            else value
            for key, value in spec.configuration.items()
        }

    def references_of(self, component_type: str) -> tuple[set[str], set[tuple[str, str]]]:
        """The variables and the (secret, key) pairs that fields of a component take secret values from."""
        spec = self.components[component_type]
        secret = secret_fields(self.registry.declared_class(component_type, spec.flavor))
        variables, _ = mentioned({name: value for name, value in spec.configuration.items() if name in secret})
        return variables, mentioned(spec.configuration)[1]

    def shown_variables(self) -> dict[str, str]:
        """What workers need whose variables anybody may see: variables that fields refer to, and no secret field of any component."""
        hidden = {variable for kind in self.components for variable in self.references_of(kind)[0]}
        variables, _ = mentioned([spec.configuration for kind, spec in self.components.items() if kind not in OF_THE_SUBMITTER])
        return {name: self._references.environ[name] for name in sorted(variables - hidden) if name in self._references.environ}

    def secrets(self) -> frozenset[str]:
        """Every secret value that components made so far were given, or that this process was, to be hidden by `redact`."""
        return all_handed().union(self._references.revealed)

    def snapshot(self) -> dict[str, Json]:
        """The stack as JSON for plans and records: references unresolved, and never a secret value."""
        components: dict[str, Json] = {
            kind: without_literals(spec, self.registry).to_json() for kind, spec in self.components.items()
        }
        return {"name": self.name, "components": components, "waive": list(self.waive)}

    def anchored_snapshot(self) -> dict[str, Json]:
        """The snapshot for a process that does not have the project: paths, those by default too, are absolute."""
        snapshot = self.snapshot()
        entries = cast(dict[str, Any], snapshot["components"])
        for component in self.present():
            configuration = entries[component.component_type]["configuration"]
            for name, value in component.configuration().items():
                if isinstance(value, Path) and not has_reference(configuration.get(name)):
                    configuration[name] = str(value)
        return snapshot

    @classmethod
    def from_snapshot(
        cls, snapshot: Mapping[str, Any], registry: Registry, project: Project, environ: Mapping[str, str] = os.environ, *, elsewhere: bool = False
    ) -> Stack:
        specs = [
            ComponentSpec(kind, entry["flavor"], entry["name"], entry["configuration"])
            for kind, entry in snapshot["components"].items()
        ]
        return cls(snapshot["name"], specs, registry=registry, project=project, waive=snapshot["waive"], environ=environ, elsewhere=elsewhere)


def without_literals(spec: ComponentSpec, registry: Registry) -> ComponentSpec:
    """The spec as it may be shown: asterisks for a secret that somebody wrote down as it is.

    Where the plugin is missing or broken nobody can tell which fields are secret, so every text is hidden.
    """
    if not spec.configuration:
        return spec
    try:
        hidden = literal_secrets(registry.declared_class(spec.component_type, spec.flavor), spec.configuration)
    except ConfigurationError:
        hidden = [key for key, value in spec.configuration.items() if _texts([value]) and not has_reference(value)]
    if not hidden:
        return spec
    shown = {key: HIDDEN if key in hidden else value for key, value in spec.configuration.items()}
    return ComponentSpec(spec.component_type, spec.flavor, spec.name, shown)


def literal_secrets(cls: type[Component], configuration: Mapping[str, Any]) -> list[str]:
    """The secret fields in which any value stands itself instead of a reference."""
    secret = secret_fields(cls)
    return [key for key, value in configuration.items() if key in secret and not all(map(has_reference, _leaves(value)))]


def literal_problem(key: str) -> str:
    return (
        f"its secret field '{key}' must be a reference, not the value itself. "
        f"Run `dovetail secret set NAME {key}=-` and write '{{{{ NAME.{key} }}}}', or use '${{VARIABLE}}'."
    )


def _texts(values: Any) -> list[str]:
    return [leaf for leaf in _leaves(values) if isinstance(leaf, str)]


def _leaves(value: Any) -> list[Any]:
    """Every value inside lists and mappings, without the empty ones."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [] if value is None else [value]
