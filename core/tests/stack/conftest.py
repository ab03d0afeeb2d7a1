from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.registry import Registry
from dovetail.stack import ComponentSpec, Stack, StackStore
from dovetail.values.project import Project

ACME = Path(__file__).parents[1] / "acme"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOVETAIL_STACK", "DOVETAIL_PROJECT", "DOVETAIL_PLUGINS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOVETAIL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path, home: Path) -> Project:
    root = tmp_path / "project"
    (root / ".dovetail").mkdir(parents=True)
    (root / ".dovetail" / "project.yaml").write_text("name: p\n")
    return Project(root, root / ".dovetail", marked=True)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, home: Path) -> Registry:
    monkeypatch.syspath_prepend(str(ACME))
    return Registry.load({})


@pytest.fixture
def store(project: Project, registry: Registry) -> StackStore:
    return StackStore(project, registry, {})


@pytest.fixture
def make_stack(project: Project, registry: Registry) -> Callable[..., Stack]:
    """A stack whose tracker is Acme's, with the given fields."""

    def make(*more: ComponentSpec, environ: dict[str, str] | None = None, **fields: Any) -> Stack:
        specs = [
            ComponentSpec("orchestrator", "acme", "o"),
            ComponentSpec("artifact_store", "memory", "m"),
            ComponentSpec("experiment_tracker", "acme", "t", {"project": "p", **fields}),
            *more,
        ]
        return Stack("s", specs, registry=registry, project=project, environ=environ or {})

    return make


@pytest.fixture
def secrets(home: Path, registry: Registry) -> Any:
    return registry.component_class("secret_store", "local")()
