"""The processes of `mlflow models serve`: started so that they outlive the client, told apart from any other, found healthy."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail.components import Deployment
from dovetail.local.serving_folder import Serving, ServingFolder
from dovetail.values.encoding import Json
from dovetail.values.processes import is_alive, process_identity, send_signal

_POLL = 0.1  # seconds


@dataclass
class Server:
    """One server on its way. `processes`: the first is `mlflow models serve`, which ends with the server that it starts."""

    name: str
    url: str
    folder: ServingFolder
    command: Sequence[str]
    processes: list[dict[str, Json]]

    @classmethod
    def prepare(cls, deployment: Deployment, host: str, port: int, request_timeout: float) -> Server:
        """Write what is served; nothing runs yet."""
        from dovetail_mlflow.flavors import Payload, save_for_serving

        url = _url(host, port)
        payload = Payload(
            deployment.name, deployment.model, deployment.materializer, deployment.type, deployment.materializers, deployment.trusted
        )
        serving = Serving.from_json({**payload.reading(str(deployment.model.absolute())), "id": secrets.token_hex(8), "url": url})
        folder = ServingFolder.create(deployment.folder.absolute() / serving.id, serving, "")
        save_for_serving(payload, folder.path / "model")
        command = [
            sys.executable, "-m", "dovetail_mlflow.models_command", "serve", "--model-uri", str(folder.path / "model"),
            "--host", host, "--port", str(port), "--env-manager", "local",
            "--workers", str(deployment.replicas), "--timeout", str(max(1, int(request_timeout))),
        ]  # fmt: skip
        return cls(deployment.name, url, folder, command, [])

    def launch(self, timeout: float) -> list[dict[str, Json]]:
        """Start it and wait until it is healthy. Raises ChildProcessError or TimeoutError, whose words follow the server's name."""
        deadline = time.monotonic() + timeout
        detached = [sys.executable, "-m", "dovetail_mlflow.detaching", *self.command]
        with open(self.folder.log, "ab") as log:
            told = subprocess.run(
                detached, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=self.folder.path, env=_surroundings(), check=False
            )
        try:
            self.processes = [process_identity(int(told.stdout))]
        except (ValueError, ProcessLookupError):
            raise ChildProcessError("ended before it was healthy") from None
        while not healthy(self.url, 2.0):
            if not is_alive(self.processes[0]):
                raise ChildProcessError("ended before it was healthy")
            if time.monotonic() > deadline:
                raise TimeoutError("was not healthy in time; give it longer with `startup_timeout`")
            time.sleep(_POLL)
        if not is_alive(self.processes[0]):
            raise ChildProcessError("ended before it was healthy, and another server answers at its address")
        self.processes += group_of(self.processes[0])
        self.folder.commit(self.processes)
        return self.processes

    def withdraw(self) -> None:
        """End what was started; nothing is left running."""
        import signal

        for identity in [*self.processes, *(group_of(self.processes[0]) if self.processes else ())]:
            send_signal(identity, signal.SIGKILL)


def group_of(leader: Mapping[str, Any]) -> list[dict[str, Json]]:
    """The other processes of the leader's group; none once it has ended, as its number may lead another group then."""
    found = []
    for pid in _pids_of_group(leader["pid"]) if is_alive(leader) else ():
        if pid != leader["pid"]:
            try:
                found.append(process_identity(pid))
            except ProcessLookupError:
                continue
    return found


def _pids_of_group(group: int) -> list[int]:
    told = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=False) if not os.path.isdir("/proc/self") else None
    pairs = [line.split() for line in told.stdout.splitlines()] if told is not None else [[name, str(_group(name))] for name in os.listdir("/proc")]
    return [int(pid) for pid, of in pairs if pid.isdecimal() and of == str(group)]


def _group(pid: str) -> int:
    try:
        return os.getpgid(int(pid))
    except (ValueError, OSError):
        return -1


def healthy(url: str, timeout: float) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/ping", timeout=timeout) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _url(host: str, port: int) -> str:
    """Addresses that mean 'all of this machine' are reached by its loopback one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # it is not bound to here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _surroundings() -> dict[str, str]:
    """MLflow starts its server by a shell, which finds it on PATH; where the caller's MLflow is, is not the server's business."""
    from dovetail.values.project import find_project

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_TRACKING", "MLFLOW_REGISTRY", "MLFLOW_RUN_ID"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "DOVETAIL_PROJECT": str(find_project().root), "PYTHONUNBUFFERED": "1", "DOVETAIL_MLFLOW_SERVING": "1"}
