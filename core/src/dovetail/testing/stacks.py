"""Stacks for users' own tests: a pipeline or step runs as it does anywhere, and nothing of it is left afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from dovetail.client.client import Client
from dovetail.components.artifact_store import ArtifactStore
from dovetail.components.component import Component
from dovetail.components.orchestrator import Task
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.memory_store import MemoryArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.planning.workspace import active_instead
from dovetail.registry import Registry
from dovetail.stack.stack import ComponentSpec
from dovetail.testing.fakes import FakeAlerter, FakeDeployer, FakeTracker
from dovetail.testing.given import UNDECLARED, GivenStack, flavor_of
from dovetail.values.project import Project


class InThisProcess(LocalOrchestrator):
    """Runs every step in threads of this process, also those that ask for a process of their own; a timeout ends nothing."""

    def _start(self, task: Task) -> None:
        task.run_here()


class TestStack:
    """The stack that is active inside `in_memory` or `on_disk`. `tracker`, `deployer`, `alerter` remember what they were told."""

    __test__ = False  # its name is not that of a test

    def __init__(self, components: Mapping[str, Component]) -> None:
        self.components = components

    @property
    def client(self) -> Client:
        """Queries of what ran here."""
        return Client()

    @property
    def tracker(self) -> Any:
        return self.components["experiment_tracker"]

    @property
    def deployer(self) -> Any:
        return self.components["model_deployer"]

    @property
    def alerter(self) -> Any:
        return self.components["alerter"]

    @property
    def store(self) -> Any:
        return self.components["artifact_store"]

    def make(self, project: Project, registry: Registry) -> GivenStack:
        specs = [
            ComponentSpec(kind, flavor_of(type(component), registry), f"test-{kind}", _written(component, registry))
            for kind, component in self.components.items()
        ]
        return GivenStack(self.components.values(), specs, registry, project, waive=("timeout",), name="test")


def _written(component: Component, registry: Registry) -> dict[str, Any]:
    """What another process makes it from; fakes are known to this process alone."""
    if flavor_of(type(component), registry) == UNDECLARED:
        return {}
    return {name: str(value) if isinstance(value, Path) else value for name, value in component.configuration().items() if value is not None}


@contextmanager
def in_memory(*components: Component) -> Iterator[TestStack]:
    """Pipelines run on a stack whose artifacts and records are in this process's memory; steps that ask for a process share this one.

    `components` take the places of the fakes: a tracker, deployer or alerter that remembers. Only code in this `with` sees
    the stack. It begins empty each time, so nothing is cached from elsewhere.
    """
    given = [InThisProcess(), MemoryArtifactStore(bucket=f"test-{uuid4().hex}"), *_fakes()]
    with _active([*given, *components]) as stack:
        yield stack


@contextmanager
def on_disk(*components: Component, processes: bool = False) -> Iterator[TestStack]:
    """As `in_memory`, with real worker processes where steps ask for one, or for all of them, and files in a temporary folder.

    Fakes do not hear what steps say in processes of their own.
    """
    with tempfile.TemporaryDirectory(prefix="dovetail-test-", ignore_cleanup_errors=True) as folder:
        store: ArtifactStore = LocalArtifactStore(path=Path(folder) / "store")
        with _active([LocalOrchestrator(processes=processes), store, *_fakes(), *components]) as stack:
            yield stack


def _fakes() -> list[Component]:
    return [FakeTracker(), FakeDeployer(), FakeAlerter()]


@contextmanager
def _active(components: list[Component]) -> Iterator[TestStack]:
    stack = TestStack({component.component_type: component for component in components})
    with ExitStack() as cleanup:
        cache = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="dovetail-cache-", ignore_cleanup_errors=True))
        before = {name: os.environ.get(name) for name in ("DOVETAIL_CACHE",)}
        cleanup.callback(_restore, before)
        os.environ["DOVETAIL_CACHE"] = cache
        cleanup.enter_context(active_instead(stack.make))
        yield stack


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
