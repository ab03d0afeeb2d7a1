"""Where stacks and components are kept: files below the project's or the user's configuration folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dovetail.errors import ConfigurationError, NotFound
from dovetail.registry import Registry
from dovetail.stack.active import active_file, active_name
from dovetail.stack.builtin import DEFAULT, builtin_component, default_stack
from dovetail.stack.files import StackFile, as_yaml, read_component_file, read_stack_file, write_whole
from dovetail.stack.stack import ComponentSpec, Stack, literal_problem, literal_secrets, without_literals
from dovetail.values.encoding import Json
from dovetail.values.names import check_name, folded, is_name
from dovetail.values.project import Project


class StackStore:
    """Stacks and components of a project, or of the user where there is no project.

    A stack file holds its components itself, or names registered ones, which lie in files of their own.
    """

    def __init__(self, project: Project, registry: Registry, environ: Mapping[str, str] = os.environ) -> None:
        self.project = project
        self.registry = registry
        self.environ = environ

    # Stacks

    def list(self) -> Sequence[str]:
        """Names of all stacks, the built-in one first."""
        return [DEFAULT, *(name for name in _stems(self.project.config / "stacks") if name != DEFAULT)]

    def get(self, name: str) -> Stack:
        """Raises NotFound with the near names, ConfigurationError for a file that cannot be used."""
        if name == DEFAULT:
            return default_stack(self.project, self.registry, self.environ)
        return self.bound(self.file(name))

    def file(self, name: str) -> StackFile:
        """A stack as it is written down."""
        if name == DEFAULT:
            built_in = default_stack(self.project, self.registry, self.environ)
            return StackFile(DEFAULT, dict.fromkeys(built_in.components, DEFAULT))
        path = self._stack_path(name)
        if not path.is_file():
            raise NotFound("stack", name, self.list(), "List them with `dovetail stack list`.")
        found = read_stack_file(path, self._type_names())
        if found.name != name:
            raise ConfigurationError(
                f"The stack file {path} names its stack '{found.name}'. Make the file's name and `name:` the same."
            )
        return found

    def bound(self, written: StackFile) -> Stack:
        """The stack with every registered component that it names looked up."""
        specs = [
            entry if isinstance(entry, ComponentSpec) else self._named(written, kind, entry)
            for kind, entry in written.components.items()
        ]
        return Stack(written.name, specs, registry=self.registry, project=self.project, waive=written.waive, environ=self.environ)

    def _named(self, written: StackFile, kind: str, name: str) -> ComponentSpec:
        try:
            return self.component(kind, name)
        except NotFound as error:
            raise ConfigurationError(f"Stack '{written.name}' names a component that is not there. {error}") from None

    def save(self, stack: Stack | StackFile) -> Path:
        """Write a stack down, in place of the one of that name."""
        written = stack if isinstance(stack, StackFile) else StackFile(stack.name, stack.components, stack.waive)
        self._refuse_builtin(written.name, "changed; save it under another name")
        for entry in written.components.values():
            if isinstance(entry, ComponentSpec):
                self._refuse_literals(entry)
        path = self._stack_path(written.name)
        _refuse_twin(path, "stack")
        write_whole(path, as_yaml(written.to_json()))
        return path

    def delete(self, name: str) -> None:
        """Its components stay. Refused for the built-in stack and for the active one."""
        self._refuse_builtin(name, "deleted")
        if active_name(self.project) == name:
            raise ConfigurationError(
                f"Stack '{name}' is the active one. Choose another with `dovetail stack set` before you delete it."
            )
        path = self._stack_path(name)
        if not path.is_file():
            raise NotFound("stack", name, self.list())
        path.unlink()

    def copy(self, source: str, target: str) -> Path:
        written = self.file(source)
        if self._stack_path(target).exists():
            raise ConfigurationError(f"There is a stack '{target}' already. Choose another name, or delete it first.")
        return self.save(StackFile(check_name("stack", target), written.components, written.waive, written.description))

    def export(self, name: str) -> str:
        """The stack as one YAML text that needs no other file, references unresolved."""
        written = self.file(name)
        specs = {kind: self._portable(spec) for kind, spec in self.bound(written).components.items()}
        return as_yaml(StackFile(name, specs, written.waive, written.description).to_json())

    def _portable(self, spec: ComponentSpec) -> ComponentSpec:
        shown = without_literals(spec, self.registry)
        relative: dict[str, Json] = {
            key: self.project.relative(value)
            if self.project.marked and isinstance(value, str) and os.path.isabs(value)
            else value
            for key, value in shown.configuration.items()
        }
        return ComponentSpec(spec.component_type, spec.flavor, spec.name, relative)

    # The active stack

    def active_name(self) -> str | None:
        """What `set_active` chose, or None."""
        return active_name(self.project)

    def set_active(self, name: str) -> None:
        """Raises NotFound for a stack that does not exist."""
        if name not in self.list():
            raise NotFound("stack", name, self.list(), "List them with `dovetail stack list`.")
        write_whole(active_file(self.project), f"{name}\n")

    # Components

    def components(self, component_type: str) -> Sequence[ComponentSpec]:
        """Registered components of a type and the built-in one, by name."""
        kind = self.registry.component_type(component_type).name
        built_in = builtin_component(kind, DEFAULT, self.project)
        names = _stems(self.project.config / "components" / kind)
        return [
            *([built_in] if built_in else []),
            *(self.component(kind, name) for name in names if not (built_in and name == DEFAULT)),
        ]

    def component(self, component_type: str, name: str) -> ComponentSpec:
        """A registered component. Raises NotFound; its cure says when a stack file holds one of that name."""
        kind = self.registry.component_type(component_type).name
        built_in = builtin_component(kind, name, self.project)
        if built_in:
            return built_in
        path = self._component_path(kind, name)
        if path.is_file():
            return read_component_file(path, kind)
        inside = [stack for stack, spec in self.inline(kind) if spec.name == name]
        known = [DEFAULT] if builtin_component(kind, DEFAULT, self.project) else []
        cure = f"List them with `dovetail {kind.replace('_', '-')} list`."
        if inside:
            cure = f"One of that name stands in the file of stack '{inside[0]}'; edit it there and apply that file again."
        raise NotFound(f"{kind.replace('_', ' ')} component", name, [*known, *_stems(path.parent)], cure)

    def is_registered(self, spec: ComponentSpec) -> bool:
        """Whether it lies in a file of its own, or is built in."""
        built_in = builtin_component(spec.component_type, spec.name, self.project)
        path = self._component_path(spec.component_type, spec.name)
        return spec == built_in or (path.is_file() and read_component_file(path, spec.component_type) == spec)

    def inline(self, component_type: str) -> Sequence[tuple[str, ComponentSpec]]:
        """Components that stand in stack files, each with its stack's name; files that cannot be read are passed over."""
        found = []
        for stack in _stems(self.project.config / "stacks"):
            entry = self._entry(stack, component_type)
            if isinstance(entry, ComponentSpec):
                found.append((stack, entry))
        return found

    def users_of(self, component_type: str, name: str) -> Sequence[str]:
        """The stacks that name a registered component."""
        return [stack for stack in _stems(self.project.config / "stacks") if self._entry(stack, component_type) == name]

    def _entry(self, stack: str, component_type: str) -> ComponentSpec | str | None:
        try:
            return self.file(stack).components.get(component_type)
        except ConfigurationError:
            return None

    def save_component(self, spec: ComponentSpec) -> Path:
        """Write a component down, in place of the one of that name."""
        kind = self.registry.component_type(spec.component_type).name
        if builtin_component(kind, spec.name, self.project):
            raise ConfigurationError(
                f"The {kind.replace('_', ' ')} '{spec.name}' is built in and cannot be changed. Choose another name."
            )
        self._refuse_literals(spec)
        path = self._component_path(kind, spec.name)
        _refuse_twin(path, "component")
        write_whole(path, as_yaml(spec.to_json()))
        return path

    def delete_component(self, component_type: str, name: str) -> None:
        """Refused while a stack names it."""
        kind = self.registry.component_type(component_type).name
        self.component(kind, name)
        if builtin_component(kind, name, self.project):
            raise ConfigurationError(f"The {kind.replace('_', ' ')} '{name}' is built in and cannot be deleted.")
        users = self.users_of(kind, name)
        if users:
            stacks = ", ".join(f"'{user}'" for user in users)
            raise ConfigurationError(
                f"The {kind.replace('_', ' ')} '{name}' is used by stack {stacks}. Give the stack another one, or delete the stack, first."
            )
        self._component_path(kind, name).unlink()

    def _stack_path(self, name: str) -> Path:
        return self.project.config / "stacks" / f"{check_name('stack', name)}.yaml"

    def _component_path(self, kind: str, name: str) -> Path:
        return self.project.config / "components" / kind / f"{check_name('component', name)}.yaml"

    def _type_names(self) -> Sequence[str]:
        return [kind.name for kind in self.registry.component_types()]

    def _refuse_builtin(self, name: str, verb: str) -> None:
        if name == DEFAULT:
            raise ConfigurationError(f"The stack '{DEFAULT}' is built in and cannot be {verb}.")

    def _refuse_literals(self, spec: ComponentSpec) -> None:
        if not spec.configuration:
            return
        for key in literal_secrets(self.registry.declared_class(spec.component_type, spec.flavor), spec.configuration):
            raise ConfigurationError(f"{spec.title}: {literal_problem(key)}")


def _stems(folder: Path) -> list[str]:
    """Names of the YAML files in a folder; what has a name that no stack or component can have is left out."""
    try:
        files = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(file[:-5] for file in files if file.endswith(".yaml") and is_name(file[:-5]))


def _refuse_twin(path: Path, kind: str) -> None:
    for name in _stems(path.parent):
        if name != path.stem and folded(name) == folded(path.stem):
            raise ConfigurationError(
                f"There is a {kind} '{name}', which differs from '{path.stem}' in case only. Choose another name."
            )
