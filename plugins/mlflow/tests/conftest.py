"""A real MLflow server on loopback, for all tests of a session, and nothing of this user's own MLflow."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

QUIET = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ.update(QUIET)  # before mlflow is imported, here and in workers
_STARTUP = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class MlflowServer:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def start_server(folder: Path, *more: str, **variables: str) -> MlflowServer:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"), *more,
    ]
    bin_folder = str(Path(sys.executable).parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {**QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": f"{bin_folder}:{os.environ['PATH']}", **variables}
    log = folder / "log"
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder, env=environment, start_new_session=True)
    server = MlflowServer(f"http://127.0.0.1:{port}", process, log)
    until = time.monotonic() + _STARTUP
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=30):
                return server
        except urllib.error.HTTPError as refused:  # by a server that asks who calls
            refused.close()
            return server
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                server.stop()
                raise RuntimeError(f"the MLflow server did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    running = start_server(tmp_path_factory.mktemp("mlflow_server"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server_in() -> Any:
    """Starts another server: in a folder, with more options and variables."""
    return start_server


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture(autouse=True)
def own_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable or file of this user's says where MLflow is, and what goes astray is seen in this folder."""
    for name in list(os.environ):
        if name.startswith("MLFLOW_") and name not in QUIET:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    astray = tmp_path / "astray"
    astray.mkdir()
    monkeypatch.chdir(astray)


@pytest.fixture
def astray(tmp_path: Path) -> Path:
    """The working folder, where MLflow would put what has no other place."""
    return tmp_path / "astray"


@dataclass
class Project:
    """A project of the test's own, with the pipelines of `training.py`."""

    trials: Any
    training: Any
    folder: Path

    def on(self, *components: Any) -> Any:
        from dovetail.local.artifact_store import LocalArtifactStore
        from dovetail.local.orchestrator import LocalOrchestrator

        return self.trials.on(LocalOrchestrator(), LocalArtifactStore(path=self.folder / "store", trusted=True), *components)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    from dovetail.testing.trial import isolate, project_in

    isolate(tmp_path, monkeypatch)
    folder = tmp_path / "project"
    with project_in(folder, monkeypatch) as trials:
        for training in _module("training", folder):
            yield Project(trials, training, folder)


def _module(name: str, folder: Path) -> Iterator[Any]:
    """One of these modules as a user's own."""
    shutil.copy(Path(__file__).with_name(f"{name}.py"), folder / f"{name}.py")
    sys.modules.pop(name, None)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


@pytest.fixture
def on_server(project: Project, tracker: Any) -> Any:
    return project.on(tracker)


@pytest.fixture
def steps(project: Project) -> Iterator[Any]:
    """The pipelines of `routing_steps.py`, in the project."""
    yield from _module("routing_steps", project.folder)
