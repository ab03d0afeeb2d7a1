"""A user's project on one backend: what cases run pipelines in. What comes of each is noted, to be compared."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dovetail.authoring.pipeline import Pipeline
from dovetail.client.client import Client
from dovetail.client.views import Run
from dovetail.errors import RunFailed
from dovetail.testing.run_record import Values, described
from dovetail.testing.trial import isolate
from matrix.backends import THREADS, Axis, Backend, Configure

PROJECT = Path(__file__).parents[1] / "project"
_ACTIVE, _BESIDE = "chosen", "beside"
_NAMES = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass
class Site:
    """`found`: what the runs' records say, by the name of the run, and what the case itself noted. `whole`: big data is really big."""

    folder: Path
    backend: Backend
    whole: bool = False
    found: dict[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=Values)

    @property
    def client(self) -> Client:
        return Client()

    def run(self, where: str, /, parameters: Mapping[str, Any] | None = None, *, noted: bool = True, **options: Any) -> Run:
        """Run a pipeline, `module:name`, until it ends, whatever comes of it. `options`: those of `with_options`.

        `noted`: its whole record is to be that of the reference; without it the case notes what has to be.
        """
        pipeline = self.pipeline(where).with_options(run_name=self._next_name(), **options)
        try:
            run = pipeline(**(parameters or {}))
        except RunFailed as failed:
            run = failed.run
        return self.note_run(run) if noted else run

    def pipeline(self, where: str) -> Pipeline[Any]:
        """As its module is now."""
        self.forget()
        module, _, name = where.partition(":")
        pipeline: Pipeline[Any] = getattr(importlib.import_module(module), name)
        return pipeline

    def resume(self, run: Run, *, elsewhere: bool = False) -> Run:
        """Resume it; `elsewhere`: on another stack of the same store, that of local threads."""
        return self.note_run(Client(_BESIDE if elsewhere else None).resume(run), "resumed")

    def dovetail(self, *arguments: str, fails: bool = False) -> str:
        """What the command prints; where it `fails`, also what it says of that."""
        done = subprocess.run([sys.executable, "-c", "from dovetail.cli import main; main()", *arguments], capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == int(fails), f"dovetail {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + (done.stderr if fails else "")

    def edit(self, name: str, before: str, after: str) -> None:
        """Change a file of the project."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{name} does not say {before!r}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def note_run(self, run: Run, name: str | None = None) -> Run:
        called = name or run.name
        self.values.runs[run.id] = called
        self.found[f"run '{called}'"] = described(run, self.values)
        return run

    def note(self, **facts: Any) -> None:
        """Compare these as well: JSON values."""
        self.found.update(facts)

    def _next_name(self) -> str:
        return _NAMES[sum(name.startswith("run '") for name in self.found)]

    def forget(self) -> None:
        """Let modules of the project be imported anew."""
        importlib.invalidate_caches()
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(f"{self.folder}/"):
                del sys.modules[name]


@contextmanager
def site_on(
    backend: Backend, configure: Mapping[str, Configure], folder: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool = False
) -> Iterator[Site]:
    """Lay the project out in the folder, with the backend as its active stack. `configure`: by the title of an axis."""
    project = folder / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    isolate(folder, monkeypatch)
    (folder / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("DOVETAIL_QUIET", "1")
    monkeypatch.setenv("DOVETAIL_PROJECT", str(project))
    monkeypatch.setenv("DOVETAIL_STACK", _ACTIVE)
    for axis in (backend.orchestrator, backend.store):
        for name, value in {**axis.variables, **axis.identity}.items():
            monkeypatch.setenv(name, value)
    _write_stacks(backend, configure, folder, project)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.chdir(project)
    site = Site(project, backend, whole)
    try:
        yield site
    finally:
        site.forget()


def _write_stacks(backend: Backend, configure: Mapping[str, Configure], folder: Path, project: Path) -> None:
    def component(axis: Axis) -> dict[str, Any]:
        own = configure[axis.title](folder) if axis.title in configure else {}
        fields = {**own, **axis.fields}
        if axis.identity_field:
            fields[axis.identity_field] = {**fields.get(axis.identity_field, {}), **backend.store.identity}
        return {"flavor": axis.flavor, "name": axis.component, "configuration": fields}

    store = component(backend.store)
    stacks = {_ACTIVE: component(backend.orchestrator), _BESIDE: component(THREADS)}
    place = project / ".dovetail" / "stacks"
    place.mkdir(parents=True)
    (project / ".dovetail" / "project.yaml").write_text("name: portability\n", encoding="utf-8")
    for name, orchestrator in stacks.items():
        stack = {"name": name, "components": {"orchestrator": orchestrator, "artifact_store": store}}
        (place / f"{name}.yaml").write_text(json.dumps(stack), encoding="utf-8")
