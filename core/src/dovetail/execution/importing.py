"""Importing a run's modules from the code that the run kept, not from files that may have been edited since."""

from __future__ import annotations

import contextvars
import importlib
import importlib.machinery
import importlib.util
import linecache
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from dovetail.errors import ConfigurationError
from dovetail.graph.definition import HOOKS, Options, StepDefinition, importable
from dovetail.ledger.code_packages import RECORD, Contents, read_code
from dovetail.ledger.records import Records
from dovetail.planning.code.source import pin
from dovetail.values.imports import load_object
from dovetail.values.plan import PlanStep

importing: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("dovetail_importing", default=None)
_laid_out: set[str] = set()  # folders that this process imports packages from


@contextmanager
def inert() -> Iterator[list[Any]]:
    """While user code is imported, pipeline calls at module level run nothing; they are collected here instead."""
    calls: list[Any] = []
    token = importing.set(calls)
    try:
        yield calls
    finally:
        importing.reset(token)


class PackageFinder:
    """Imports from a package's files. A module's `__file__` is where its file stood, so that data beside it is found there."""

    def __init__(self, files: Mapping[str, bytes], origins: Mapping[str, str], root: Path) -> None:
        self._files = files
        self._places = {name: os.path.join(root, origins.get(name, name)) for name in files}
        self._folders = {str(parent).replace(os.sep, "/") for name in files for parent in Path(name).parents}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        base = fullname.replace(".", "/")
        loader: Any = self  # not by inheritance, as the base class brings half the standard library along
        for name, is_package in ((f"{base}/__init__.py", True), (f"{base}.py", False)):
            if name in self._files:
                place = self._places[name]
                spec = importlib.machinery.ModuleSpec(fullname, loader, origin=place, is_package=is_package)
                spec.has_location = True
                if is_package:
                    spec.submodule_search_locations = [os.path.dirname(place)]
                spec.loader_state = name
                return spec
        if base in self._folders and path is None:
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [os.path.join(entry, base) for entry in sys.path if os.path.isdir(os.path.join(entry, base))]
            return spec
        return None

    def create_module(self, spec: Any) -> None:
        """None: Python makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        source = self._files[spec.loader_state]
        text = importlib.util.decode_source(source)
        linecache.cache[spec.origin] = (len(source), None, text.splitlines(keepends=True), spec.origin)
        exec(compile(source, spec.origin, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # this is an importer

    def get_source(self, fullname: str) -> str | None:
        module = sys.modules.get(fullname)
        spec: Any = getattr(module, "__spec__", None)
        return importlib.util.decode_source(self._files[spec.loader_state]) if spec is not None else None


def use_package(records: Records, package: str | None, root: str | None, *, elsewhere: bool = False) -> None:
    """Import project modules of this process from the package.

    Where the project is not on this machine, or `elsewhere` says that what lies at its root is not the project, the package's files are
    laid out in the cache folder; with `elsewhere` that folder is the working folder from then on.
    """
    if package is None:
        return
    if elsewhere:
        os.chdir(use_laid_out(records, package))
        return
    files, origins = read_code(records, package)
    if not (root and os.path.isdir(root)):
        _use_files(files, origins, use_laid_out(records, package))
    else:
        _use_files(files, origins, Path(root))


def use_laid_out(records: Records, package: str) -> Path:
    """Import project modules of this process from a folder of the cache that holds the package's files, and give the folder."""
    from dovetail.ledger.laid_out_code import lay_out

    laid_out = lay_out(records, package)
    sys.path[:0] = [root for root in laid_out.roots if root not in sys.path]
    importlib.invalidate_caches()
    _laid_out.add(f"{laid_out.folder}{os.sep}")
    return laid_out.folder


def as_in_project(text: str) -> str:
    """A traceback with the names of files as they are in the project, whichever folder the package was laid out in."""
    for folder in _laid_out:
        text = text.replace(folder, "")
    return text


def _use_files(files: Mapping[str, bytes], origins: Mapping[str, str], place: Path) -> None:
    """Import from these files as if they stood at `place`, whatever stands there now."""
    if RECORD in files:
        files, origins = _modules_of(files)
    sys.meta_path.insert(0, PackageFinder(files, origins, place))
    for name, origin in origins.items():
        pin(os.path.abspath(os.path.join(place, origin)), files[name])
        folder = os.path.join(place, origin)[: -len(name)].rstrip("/")
        if folder not in sys.path:
            sys.path.append(folder)


def _modules_of(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The modules of a whole package by the path that they are imported by, and where each stands in the project."""
    found: dict[str, bytes] = {}
    origins: dict[str, str] = {}
    for root in Contents.of(files[RECORD]).roots:
        prefix = f"{root}/" if root else ""
        for name, data in files.items():
            if name.startswith(prefix) and name.endswith(".py") and name[len(prefix) :] not in found:
                found[name[len(prefix) :]], origins[name[len(prefix) :]] = data, name
    return found, origins


def definition_of(step: PlanStep) -> StepDefinition:
    """The step's function, found by its source, with the hooks that the plan names. Raises ConfigurationError with the cure."""
    source = step.node.source
    if not importable(source):
        raise ConfigurationError(
            f"Step '{step.invocation}' was defined inside a function ({source}), so no other process can import it. Define it at module level."
        )
    found = find_named(source, f"Step '{step.invocation}'")
    function = found.definition.function if hasattr(found, "definition") else found
    hooks = {name: find_named(step.options[name]["function"], f"The hook {name} of step '{step.invocation}'") for name in HOOKS if name in step.options}
    return StepDefinition(function, step.node.step, Options(**hooks))


def find_named(source: str, what: str) -> Any:
    """What a source names. Raises ConfigurationError, beginning with `what`, for what cannot be imported here."""
    with inert():
        try:
            return load_object(source)
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"{what} cannot be imported as {source}: {error}. Its module must be importable where the step runs; "
                f"check that it is part of the project and that what it imports is installed."
            ) from error
