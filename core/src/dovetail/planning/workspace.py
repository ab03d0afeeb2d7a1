"""Everything that planning, execution and queries work with: one project, one stack, its ledger."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dovetail.components.runner import Runner
from dovetail.errors import ConfigurationError
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.materializers.finder import Materializers
from dovetail.registry import Registry
from dovetail.stack.resolving import resolve_stack
from dovetail.stack.stack import Stack
from dovetail.values.imports import RecordedTypes
from dovetail.values.project import Project, find_project
from dovetail.values.settings import Resources
from dovetail.worker import address_of

if TYPE_CHECKING:
    from dovetail.components.artifact_store import ArtifactStore


_instead: ContextVar[Callable[[Project, Registry], Stack] | None] = ContextVar("dovetail_stack_instead", default=None)


@dataclass(frozen=True)
class Workspace:
    project: Project
    registry: Registry
    stack: Stack
    ledger: Ledger

    @property
    def store(self) -> ArtifactStore:
        return self.ledger.store

    def on(self, stack: Stack) -> Workspace:
        """The same project on another stack."""
        return assemble(self.project, self.registry, stack)


def open_workspace(
    stack: str | None = None,
    *,
    snapshot: Mapping[str, Any] | None = None,
    project: Project | None = None,
    registry: Registry | None = None,
    environ: Mapping[str, str] = os.environ,
    elsewhere: bool = False,
) -> Workspace:
    """The workspace of the working folder's project on the chosen stack, or on the one that a plan's `snapshot` describes.

    Raises NotFound for a stack that does not exist, ConfigurationError for one that cannot be built.
    """
    project = project or find_project(environ=environ)
    registry = registry or known_registry(environ)
    instead = _instead.get()
    if instead is not None and stack is None and snapshot is None:
        return assemble(project, registry, instead(project, registry))
    if snapshot is not None:
        return assemble(project, registry, Stack.from_snapshot(dict(snapshot), registry, project, elsewhere=elsewhere))
    return assemble(project, registry, resolve_stack(project, registry, stack, environ))


@contextmanager
def active_instead(make: Callable[[Project, Registry], Stack]) -> Iterator[None]:
    """While it lasts, what the calling code opens as the active stack is what `make` gives: how tests bring a stack of their own."""
    token = _instead.set(make)
    try:
        yield
    finally:
        _instead.reset(token)


def has_instead() -> bool:
    """Whether `active_instead` lasts."""
    return _instead.get() is not None


def known_registry(environ: Mapping[str, str] = os.environ) -> Registry:
    """The registry of this process; looked up again when the import path or `DOVETAIL_PLUGINS` changes."""
    return _registry_for(tuple(sys.path), environ.get("DOVETAIL_PLUGINS"))


@functools.lru_cache(maxsize=8)
def _registry_for(_path: tuple[str, ...], plugins: str | None) -> Registry:
    return Registry.load({} if plugins is None else {"DOVETAIL_PLUGINS": plugins})


def assemble(project: Project, registry: Registry, stack: Stack) -> Workspace:
    store: Any = stack.build("artifact_store")
    if store is None:
        raise ConfigurationError(f"Stack '{stack.name}' has no artifact store. Add one to it: dovetail stack update {stack.name} -a NAME.")
    materializers = Materializers(registry.materializer_specs(), RecordedTypes(project, registry.plugin_modules()))
    return Workspace(project, registry, stack, Ledger(store, materializers))


def addressed(workspace: Workspace, target: str) -> str | None:
    """The component type that `settings={target: …}` speak to on this stack: by flavor, name or type; None for none."""
    for kind, spec in workspace.stack.components.items():
        if target in (kind, spec.flavor, spec.name):
            return kind
    return None


def runner_of(workspace: Workspace, options: Mapping[str, Any]) -> Runner | None:
    """What runs a step of these options: the step operator, where it asks for one and the stack has one, else the orchestrator."""
    found = workspace.stack.build("step_operator") if options.get("step_operator") else None
    found = found or workspace.stack.build("orchestrator")
    return found if isinstance(found, Runner) else None


def runs_images(workspace: Workspace, options: Mapping[str, Any]) -> bool:
    """Whether a step of these options runs in a container image on this stack."""
    runner = runner_of(workspace, options)
    return runner is not None and runner.runs_images


def settings_for(workspace: Workspace, options: Mapping[str, Any], component_type: str) -> dict[str, Any]:
    """What a step of these options says to the stack's component of a type, whichever name it uses for it."""
    said = options.get("settings") or {}
    return {name: value for target in said if addressed(workspace, target) == component_type for name, value in said[target].items()}


def run_address(workspace: Workspace, run_id: str) -> str:
    """The one address that a worker of the run needs."""
    flavor = workspace.stack.components["artifact_store"].flavor
    return address_of(flavor, workspace.stack.anchored("artifact_store"), layout.run(run_id))


def without_waived(resources: Resources, waive: Collection[str]) -> Resources:
    """Without what the stack waives: an engine that cannot give it is not to refuse the step for it."""
    waived = [name for name in asdict(resources) if {"resources", f"resources.{name}"} & set(waive)]
    return replace(resources, **dict.fromkeys(waived)) if waived else resources
