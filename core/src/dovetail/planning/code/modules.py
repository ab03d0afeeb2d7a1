"""A project's modules by name: where they stand, what they look like now, and which of them another one loads."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from dovetail import digest
from dovetail.planning.code.references import Import
from dovetail.planning.code.source import SourceFile, source_file
from dovetail.values.encoding import module_name
from dovetail.values.project import Project

Namespace = dict[str, Any]
_SITES = ("site-packages", "dist-packages")
_LIBRARY = os.path.realpath(os.path.dirname(os.__file__)) + os.sep
_OWN = os.path.realpath(os.path.dirname(digest.__file__)) + os.sep


class Module:
    """A module of the project. `name` is what it is imported as, `label` what keys say; `namespace` is live, or None.

    `path` is None for a namespace package and for code that was typed in or executed from a string.
    """

    __slots__ = ("_source", "label", "locations", "name", "namespace", "path")

    def __init__(self, name: str, path: str | None, locations: tuple[str, ...], namespace: Namespace | None) -> None:
        self.name = name
        self.label = _label(name)
        self.path = path
        self.locations = locations
        self.namespace = namespace
        self._source: list[SourceFile | None] = []

    @property
    def source(self) -> SourceFile | None:
        if not self._source:
            self._source.append(source_file(self.path, self._loaded()) if self.path else None)
        return self._source[0]

    @property
    def package(self) -> str:
        """What relative imports in this module start from."""
        if self.locations:
            return self.label
        if self.name == "__main__" and self.namespace is not None:
            return self.namespace.get("__package__") or ""
        return self.label.rpartition(".")[0]

    def absolute(self, imported: Import) -> str:
        """The dotted name of the module that an import statement in this one names."""
        if imported.level == 0:
            return imported.module
        parts = self.package.split(".") if self.package else []
        kept = parts[: len(parts) - (imported.level - 1)]
        return ".".join([*kept, imported.module] if imported.module else kept)

    def _loaded(self) -> object | None:
        if self.namespace is None:
            return None
        return self.namespace.get("__spec__") or self.namespace.get("__loader__") or True


class Modules:
    """Finds modules without importing any; remembers what it found for one planning session.

    `beside`: a folder whose code counts as the project's too, because a step stands there.
    """

    def __init__(self, project: Project, beside: str | None = None) -> None:
        self._project = project
        self._beside = beside
        self._found: dict[str, Module | None] = {}
        self._executed: dict[int, Module] = {}

    def find(self, name: str) -> Module | None:
        """The project's module of this name; None for a foreign one, a missing one, and Dovetail's own."""
        try:
            return self._found[name]
        except KeyError:
            found = self._found[name] = self._locate(name) if name and not is_dovetail(name) else None
            return found

    def known(self) -> list[Module]:
        return [module for module in self._found.values() if module is not None]

    def of_namespace(self, namespace: Namespace) -> Module | None:
        """The project's module whose globals these are."""
        name = namespace.get("__name__")
        if isinstance(name, str) and namespace_of(sys.modules.get(name)) is namespace:
            found = self.find(name)
            return found or (self._typed_in(name, namespace) if "__file__" not in namespace else None)
        file = namespace.get("__file__")
        if file is not None and not self.owns(file):
            return None
        return self._typed_in(name if isinstance(name, str) else "", namespace)

    def submodule(self, module: Module, name: str) -> Module | None:
        return self.find(f"{module.label}.{name}") if module.locations else None

    def with_parents(self, module: Module) -> Iterator[Module]:
        """The module and the packages that are imported on the way to it."""
        yield module
        parent = module.label.rpartition(".")[0]
        while parent:
            found = self.find(parent)
            if found is not None:
                yield found
            parent = parent.rpartition(".")[0]

    def loaded_by(self, roots: Iterable[str]) -> set[str]:
        """Names of the modules that are imported whenever these are, by imports outside functions."""
        todo = [found for name in roots for found in [self.find(name)] if found is not None]
        names: set[str] = set()
        while todo:
            module = todo.pop()
            if module.name in names:
                continue
            names.add(module.name)
            todo.extend(parent for parent in self.with_parents(module) if parent.name not in names)
            todo.extend(self._imported_by(module))
        return names

    def owns(self, file: object) -> bool:
        if not isinstance(file, str):
            return False
        path = os.path.abspath(file)
        return self._project.owns(path) or (
            self._beside is not None and path.startswith(self._beside) and not _is_installed(path)
        )

    def _imported_by(self, module: Module) -> Iterator[Module]:
        for imported in module.source.top.imports if module.source else ():
            name = module.absolute(imported)
            for each in (name, f"{name}.{imported.attr}" if imported.attr else ""):
                found = self.find(each)
                if found is not None:
                    yield found

    def _locate(self, name: str) -> Module | None:
        namespace = namespace_of(sys.modules.get(name))
        if namespace is None and name == module_name("__main__"):  # what a worker calls the script that runs here
            return self.find("__main__") if name != "__main__" else None
        if namespace is not None:
            return self._placed(name, namespace.get("__file__"), namespace.get("__path__"), namespace)
        spec = self._spec(name)
        if spec is None:
            return None
        return self._placed(name, spec.origin if spec.has_location else None, spec.submodule_search_locations, None)

    def _placed(self, name: str, file: Any, locations: Any, namespace: Namespace | None) -> Module | None:
        places = tuple(str(place) for place in locations or ())
        if isinstance(file, str):
            return Module(name, os.path.abspath(file), places, namespace) if self.owns(file) else None
        if any(self.owns(os.path.join(place, "__init__.py")) for place in places):
            return Module(name, None, places, namespace)
        return None

    def _spec(self, name: str) -> Any:
        """As the import system finds it, but a parent package that is not imported stays so."""
        parent = name.rpartition(".")[0]
        path: list[str] | None = None
        if parent:
            package = self.find(parent)
            if package is None or not package.locations:
                return None
            path = list(package.locations)
        for finder in sys.meta_path:
            with contextlib.suppress(Exception):  # a stranger's import hook: whatever it raises, it found nothing
                spec = finder.find_spec(name, path, None)
                if spec is not None:
                    return spec
        return None

    def _typed_in(self, name: str, namespace: Namespace) -> Module | None:
        if namespace.get("__spec__") is not None and "__file__" not in namespace:
            return None  # built into the interpreter
        known = self._executed.get(id(namespace))
        if known is None:
            file = namespace.get("__file__")
            path = os.path.abspath(file) if isinstance(file, str) else None
            known = self._executed[id(namespace)] = Module(name, path, (), namespace)
            if path and (name == "__main__" or not name.replace(".", "").isidentifier()) and namespace is not _main():
                known.label = os.path.splitext(os.path.basename(path))[0]  # run by its path
        return known


def _label(name: str) -> str:
    return module_name(name) or "executed"


def _main() -> Namespace | None:
    return namespace_of(sys.modules.get("__main__"))


def folder_of_stranger(project: Project, file: object) -> str | None:
    """Where a file is imported from that is neither the project's nor installed, so that no version accounts for it."""
    if not isinstance(file, str):
        return None
    path = os.path.abspath(file)
    if project.owns(path) or _is_installed(path):
        return None
    folder = os.path.dirname(path)
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder.rstrip(os.sep) + os.sep


@functools.lru_cache(maxsize=4096)
def _is_installed(path: str) -> bool:
    real = os.path.realpath(path)
    return real.startswith((_OWN, _LIBRARY)) or any(f"{os.sep}{part}{os.sep}" in real for part in _SITES)


def is_dovetail(name: str) -> bool:
    return name == "dovetail" or name.startswith("dovetail.")


def namespace_of(module: object) -> Namespace | None:
    """A module's globals. Read past lazy modules, which would load when asked for an attribute."""
    try:
        found = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None
