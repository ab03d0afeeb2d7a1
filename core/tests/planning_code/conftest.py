from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import dovetail
from dovetail.planning.code import CodeIdentity, CodeReader
from dovetail.values.project import Project

_SHOW = """
def _show(function):
    import json, os, sys
    from pathlib import Path
    from dovetail.planning.code import CodeReader
    from dovetail.values.project import Project
    root = Path(os.environ["CODE_ROOT"])
    found = CodeReader(Project(root, root, marked=False)).identify(function)
    files = [os.path.relpath(file, root) for file in found.files]
    print(json.dumps([found.digest, dict(found.parts), files, dict(found.packages), found.uncacheable]))
"""


class Projects:
    """Writes projects, each in a folder of its own, and identifies functions in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._paths: list[str] = []

    def write(self, files: Mapping[str, str]) -> Path:
        self._count += 1
        root = self._folder / f"project{self._count}"
        for name, source in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source), encoding="utf-8")
        return root

    def load(self, files: Mapping[str, str], step: str = "flow:f") -> tuple[Project, Any]:
        """The function of a project that has just been imported in place of the ones before."""
        self.forget()
        root = self.write(files)
        self._paths.append(str(root))
        sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        module, _, name = step.partition(":")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = found[int(part)] if part.isdigit() else getattr(found, part)
        return Project(root, root, marked=False), found

    def identify(self, files: Mapping[str, str], step: str = "flow:f") -> CodeIdentity:
        project, function = self.load(files, step)
        return CodeReader(project).identify(function)

    def run(self, root: Path, code: str, *arguments: str, **environ: str) -> list[list[Any]]:
        """What `_show(function)` printed in a fresh process, line by line: digest, parts, files, packages, uncacheable."""
        path = [environ.pop("PYTHONPATH", str(root)), str(Path(dovetail.__file__).parents[1])]
        given = {
            **os.environ,
            "CODE_ROOT": str(root),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environ,
        }
        command = [sys.executable, *(arguments or ("-c", _SHOW + textwrap.dedent(code)))]
        done = subprocess.run(command, env=given, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def forget(self) -> None:
        for path in self._paths:
            sys.path.remove(path)
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None) or "").startswith(path + os.sep):
                    del sys.modules[name]
                elif any(str(place).startswith(path + os.sep) for place in getattr(module, "__path__", ())):
                    del sys.modules[name]
        self._paths.clear()


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Projects]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a cached file is taken for another of its size and second
    found = Projects(tmp_path)
    yield found
    found.forget()


@pytest.fixture
def identify(projects: Projects) -> Callable[..., CodeIdentity]:
    return projects.identify


@pytest.fixture
def show() -> str:
    """Source of the function `_show` for scripts that run in a process of their own."""
    return _SHOW
