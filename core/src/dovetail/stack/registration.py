"""Taking a configuration in: checked by pydantic, secrets moved to the secret store or refused, then written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dovetail.components.component import Secret
from dovetail.components.secret_store import SecretStore
from dovetail.errors import ConfigurationError, NotFound, numbered
from dovetail.registry import Registry
from dovetail.stack.files import StackFile, read_stack_file
from dovetail.stack.references import secret_reference
from dovetail.stack.stack import ComponentSpec, literal_problem, literal_secrets
from dovetail.stack.store import StackStore
from dovetail.stack.validation import validate
from dovetail.values.names import check_name
from dovetail.values.project import Project


@dataclass(frozen=True, slots=True)
class Applied:
    """`change`: created, updated or unchanged."""

    name: str
    change: str
    path: Path


def apply_stack_file(store: StackStore, path: Path) -> Applied:
    """Check a stack file whole and make it a stack of the project. Raises ConfigurationError with everything that is wrong."""
    if not path.is_file():
        raise NotFound("stack file", str(path))
    written = read_stack_file(path, [kind.name for kind in store.registry.component_types()])
    problems: list[str] = []
    components = {kind: _applied(store, kind, entry, problems) for kind, entry in written.components.items()}
    if problems:
        raise ConfigurationError(numbered(f"The stack file {path} cannot be applied", problems))
    stack = replace(written, components=components)
    change = _change(store, stack)
    return Applied(stack.name, change, store.save(stack))


def _applied(store: StackStore, kind: str, entry: ComponentSpec | str, problems: list[str]) -> ComponentSpec | str:
    try:
        if isinstance(entry, str):
            store.component(kind, entry)
            return entry
        checked, wrong = check_spec(entry, store.registry, store.project)
        wrong = [f"{entry.title} (flavor {entry.flavor}): {problem}" for problem in wrong]
    except ConfigurationError as error:
        problems.append(str(error))
        return entry
    problems += wrong
    return checked


def _change(store: StackStore, stack: StackFile) -> str:
    if stack.name not in store.list():
        return "created"
    try:
        return "unchanged" if store.file(stack.name).to_json() == stack.to_json() else "updated"
    except ConfigurationError:
        return "updated"  # what is there cannot be read


def check_spec(spec: ComponentSpec, registry: Registry, project: Project) -> tuple[ComponentSpec, list[str]]:
    """The spec with its configuration's types coerced, and everything that is wrong with it."""
    cls = registry.declared_class(spec.component_type, spec.flavor)
    validated = validate(cls, spec.configuration, root=None if project.marked else project.root)
    literals = literal_secrets(cls, spec.configuration)
    wrong = [*validated.problems, *(literal_problem(key) for key in literals)]
    return replace(spec, configuration=validated.configuration), wrong


def register_component(store: StackStore, spec: ComponentSpec, secrets: SecretStore, *, update: bool = False) -> ComponentSpec:
    """Check a component, put values of secret fields into `secrets`, and write it down with references in their place.

    Raises ConfigurationError with everything that is wrong, or when the name is taken by a component that differs.
    """
    cls = store.registry.declared_class(spec.component_type, spec.flavor)
    check_name("component", spec.name)
    literals = {key: spec.configuration[key] for key in literal_secrets(cls, spec.configuration)}
    secret = f"{spec.component_type.replace('_', '-')}-{spec.name}"
    referring = {key: secret_reference(secret, key) for key, value in literals.items() if isinstance(value, str)}
    checked, wrong = check_spec(replace(spec, configuration={**spec.configuration, **referring}), store.registry, store.project)
    if wrong:
        raise ConfigurationError(numbered(f"{spec.title} (flavor {spec.flavor}) cannot be as configured", wrong))
    if not update:
        _refuse_taken(store, checked)
    if referring:
        secrets.put(secret, {key: _revealed(literals[key]) for key in referring})
    store.save_component(checked)
    return checked


def _refuse_taken(store: StackStore, spec: ComponentSpec) -> None:
    try:
        there = store.component(spec.component_type, spec.name)
    except NotFound:
        return
    if there != spec:
        kind = spec.component_type.replace("_", "-")
        raise ConfigurationError(
            f"There is a {kind.replace('-', ' ')} '{spec.name}' already, which differs. Choose another name, or change it with "
            f"`dovetail {kind} update {spec.name}`."
        )


def update_component(
    store: StackStore,
    spec: ComponentSpec,
    changes: Mapping[str, Any],
    secrets: SecretStore,
    *,
    unset: frozenset[str] = frozenset(),
) -> ComponentSpec:
    """Change some fields of a registered component, and put those in `unset` back to their defaults."""
    unknown = sorted(unset - set(spec.configuration))
    if unknown:
        raise NotFound("field", unknown[0], spec.configuration, f"{spec.title} does not set it.")
    kept = {key: value for key, value in spec.configuration.items() if key not in unset}
    return register_component(store, replace(spec, configuration={**kept, **changes}), secrets, update=True)


def _revealed(value: Any) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)
