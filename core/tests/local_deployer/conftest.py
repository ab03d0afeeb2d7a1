from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.components.model_deployer import Deployment
from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.values.processes import is_alive

PROJECT_MODULE = """
import os
import sys
import time

from dovetail.materializers.interface import BaseMaterializer


class Echo:
    def predict(self, data):
        return data


class Where:
    def predict(self, data):
        return os.getpid()


class Slow:
    def predict(self, seconds):
        print("asked", flush=True)
        time.sleep(seconds)
        return "done"


class Exiting:
    def predict(self, code):
        print("no way back", flush=True)
        os._exit(code)


class Unsteady:
    def predict(self, data):
        if data == "exit":
            sys.exit(3)
        if data == "odd":
            return object()
        raise ValueError(f"no such row: {data!r}")


class ProjectModels(BaseMaterializer):
    def save(self, value):
        with open(os.path.join(self.uri, "kind"), "w") as file:
            file.write(value)

    def load(self, data_type):
        with open(os.path.join(self.uri, "kind")) as file:
            kind = file.read()
        if kind == "endless":
            time.sleep(600)
        if kind == "broken":
            print("this model is damaged", file=sys.stderr)
            raise RuntimeError("the weights do not fit")
        if kind == "function":
            return lambda data: [value * 2 for value in data]
        if kind == "dict":
            return {"no": "model"}
        return globals()[kind]()
"""

Deploy = Callable[..., dict[str, Any]]
Describe = Callable[..., Deployment]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with its own models and their materializer, as its steps would import them."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "served_models.py").write_text(PROJECT_MODULE)
    monkeypatch.setenv("DOVETAIL_PROJECT", str(root))
    monkeypatch.syspath_prepend(str(root))
    return root


@pytest.fixture
def describe(tmp_path: Path, project: Path) -> Describe:
    """A deployment of a model of the project's own, by its kind."""

    def describe(kind: str = "Echo", name: str = "echo", **given: Any) -> Deployment:
        model = tmp_path / "payload" / kind
        model.mkdir(parents=True, exist_ok=True)
        (model / "kind").write_text(kind)
        materializer, recorded = "served_models:ProjectModels", f"served_models:{kind}"
        return Deployment(name, model, materializer, recorded, "0" * 64, tmp_path / "deployments" / name, **given)

    return describe


@pytest.fixture
def deploy() -> Iterator[Deploy]:
    """Starts deployments, and ends them after the test by the public way; whatever the test did, no process is left."""
    started: list[tuple[LocalModelDeployer, dict[str, Any]]] = []

    def deploy(deployment: Deployment, deployer: LocalModelDeployer | None = None) -> dict[str, Any]:
        deployer = deployer or LocalModelDeployer()
        handle = dict(deployer.start(deployment))
        started.append((deployer, handle))
        return handle

    yield deploy
    for deployer, handle in started:
        deployer.stop(handle)
        assert not any(is_alive(identity) for identity in handle["processes"])


@pytest.fixture
def servers_of(tmp_path: Path) -> Callable[[], set[int]]:
    """The server processes that were started for this test, found by their command line."""

    def servers() -> set[int]:
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(tmp_path).encode() in command and b"dovetail.local.serving" in command:
                    found.add(int(entry.name))
        return found

    return servers
