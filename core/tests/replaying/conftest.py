from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dovetail.planning.code import source
from dovetail.planning.workspace import Workspace, open_workspace


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder that modules are imported from; what importing leaves in this process is undone."""
    monkeypatch.setenv("DOVETAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DOVETAIL_QUIET", "1")
    monkeypatch.delenv("DOVETAIL_STACK", raising=False)
    root = tmp_path / "project"
    (root / ".dovetail").mkdir(parents=True)
    (root / ".dovetail" / "project.yaml").write_text("name: p\n")
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(source, "_pinned", {})
    importlib.invalidate_caches()
    yield root
    forget(root)


@pytest.fixture
def flow(project: Path) -> Callable[[str], ModuleType]:
    """Writes `flow.py` and imports it, as a new process would."""

    def write(text: str) -> ModuleType:
        (project / "flow.py").write_text(text)
        forget(project)
        importlib.invalidate_caches()
        return importlib.import_module("flow")

    return write


@pytest.fixture
def workspace(project: Path) -> Callable[[], Workspace]:
    """The project's workspace in a process that has imported none of its code."""

    def opened() -> Workspace:
        forget(project)
        return open_workspace()

    return opened


def forget(root: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(root)):
            del sys.modules[name]
