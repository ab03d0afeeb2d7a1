"""Serves models by `mlflow models serve` on this machine."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.components import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import DeploymentError, near
from dovetail.values.encoding import Json, NotEncodable
from dovetail.values.processes import is_alive, send_signal

if TYPE_CHECKING:
    from dovetail.local.serving_folder import ServingFolder

_SETTINGS = ("port", "startup_timeout")
_LOG_LINES = 60  # shown in an error; a traceback through MLflow's frames is long
_PATIENCE = 5.0  # seconds in which a healthy server says so, and a killed one ends


class MlflowModelDeployer(ModelDeployer):
    """A deployment answers as MLflow's scoring server does: `POST /invocations`, `GET /health`. It asks for no token.

    The server is a process of its own that goes on after the client has ended; it runs in this environment (`--env-manager
    local`). `predict` keeps types: frames, arrays and dates reach the model as they are. `replicas` are its workers.
    """

    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen at; MLflow's server lets everybody in who reaches it."})
    port: int | None = field(default=None, metadata={"help": "Port to listen at; a free one when not set."})
    startup_timeout: float = field(default=180.0, metadata={"help": "Seconds until the model must be loaded and served."})
    stop_timeout: float = field(default=10.0, metadata={"help": "Seconds that requests under way have left when it is stopped."})
    request_timeout: float = field(default=60.0, metadata={"help": "Seconds to wait for an answer."})

    def check(self) -> list[str]:
        from dovetail.local.serving_launch import listen

        problems = []
        try:
            listen(self.host, None, self.name or "check").close()
        except DeploymentError as error:
            problems.append(str(error))
        if shutil.which("bash") is None:
            problems.append("The model deployer 'mlflow' runs `mlflow models serve`, which needs bash. Install it.")
        return problems

    def start(self, deployment: Deployment) -> dict[str, Json]:
        from dovetail.local.serving_launch import listen
        from dovetail_mlflow.serving import Server

        port, timeout = self._settings(deployment)
        with listen(self.host, port, deployment.name) as listener:
            address = listener.getsockname()[:2]
        server = Server.prepare(deployment, str(address[0]), int(address[1]), self.request_timeout)
        try:
            processes = server.launch(timeout)
        except BaseException as error:
            server.withdraw()
            if isinstance(error, TimeoutError | ChildProcessError):
                raise DeploymentError(_with_log(f"Deployment '{deployment.name}' {error}.", server.folder)) from error
            raise
        return {"name": deployment.name, "url": server.url, "folder": str(server.folder.path), "processes": [*processes]}

    def _settings(self, deployment: Deployment) -> tuple[int | None, float]:
        name = f"Deployment '{deployment.name}'"
        for setting in deployment.settings:
            if setting not in _SETTINGS:
                raise DeploymentError(f"{name} sets '{setting}', which the mlflow model deployer does not know. {near(setting, _SETTINGS)}")
        port: Any = deployment.settings.get("port", self.port)
        timeout: Any = deployment.settings.get("startup_timeout", self.startup_timeout)
        if not (port is None or (type(port) is int and 0 <= port < 65536)):
            raise DeploymentError(f"{name} has the port {port!r}; give a number below 65536, or none for a free one.")
        if type(timeout) not in (int, float) or not timeout > 0:
            raise DeploymentError(f"{name} has the startup_timeout {timeout!r}; give a number of seconds above 0.")
        if type(deployment.replicas) is not int or deployment.replicas < 1:
            raise DeploymentError(f"{name} has {deployment.replicas!r} replicas; give a whole number from 1 on.")
        return port, float(timeout)

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        from dovetail_mlflow.serving import healthy

        alive = is_alive(handle["processes"][0])  # it ends with the server that it started
        if alive is False:
            return DeploymentStatus.STOPPED if _folder(handle).stopped else DeploymentStatus.FAILED
        if healthy(handle["url"], _PATIENCE):
            return DeploymentStatus.RUNNING
        return DeploymentStatus.UNKNOWN if alive is None else DeploymentStatus.FAILED

    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        from dovetail.local.serving_client import ask
        from dovetail.local.serving_data import request, unpack

        self._require_alive(handle)
        name, url = f"Deployment '{handle['name']}'", handle["url"]
        try:
            message = json.dumps(request(data, method))
        except NotEncodable as error:
            raise DeploymentError(f"{name} cannot be sent this data: {error} Give lists, dicts, arrays or frames.") from error
        try:
            status, answer = ask(url, "/invocations", {"instances": [0], "params": {"message": message}}, "", self.request_timeout)
        except TimeoutError as error:
            raise DeploymentError(
                f"{name} has not answered within {self.request_timeout:g} seconds. Send fewer rows, or raise `request_timeout`."
            ) from error
        except OSError as error:
            self._require_alive(handle)
            raise DeploymentError(f"{name} does not answer at {url}: {error}.") from error
        if status != 200:
            raise DeploymentError(f"{name} refused the request ({status}): {answer.get('message', answer)}")
        told = json.loads(answer["predictions"][0])
        if "error" in told:
            raise DeploymentError(f"{name} refused the request: {told['error']}")
        return unpack(told["predictions"], told, "rows")

    def _require_alive(self, handle: Mapping[str, Any]) -> None:
        """Another server may have been given the port since, and is not to see the data."""
        from dovetail_mlflow.serving import healthy

        alive = is_alive(handle["processes"][0])
        if alive or (alive is None and healthy(handle["url"], _PATIENCE)):
            return
        folder, name = _folder(handle), f"Deployment '{handle['name']}'"
        if alive is None:
            raise DeploymentError(f"{name} does not answer at {handle['url']}, and {_elsewhere(handle)}.")
        if folder.stopped:
            raise DeploymentError(f"{name} was stopped. Deploy the model again to ask it.")
        raise DeploymentError(_with_log(f"{name} has ended by itself. Deploy the model again to ask it.", folder))

    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        return _own(handle).tail(lines)

    def stop(self, handle: Mapping[str, Any]) -> None:
        from dovetail_mlflow.serving import group_of

        alive = {is_alive(identity) for identity in handle["processes"]}
        if alive == {False} and not _folder(handle).path.exists():
            return
        folder = _own(handle)
        if None in alive:
            raise DeploymentError(f"Deployment '{handle['name']}' cannot be stopped from here: {_elsewhere(handle)}.")
        folder.mark_stopped()
        processes = [*handle["processes"], *group_of(handle["processes"][0])]
        if not _ended(processes, self.stop_timeout + 1):
            left = ", ".join(str(identity["pid"]) for identity in processes if is_alive(identity))
            raise DeploymentError(f"Deployment '{handle['name']}' could not be ended: process {left} does not end when it is killed.")


def _ended(processes: Sequence[Mapping[str, Any]], patience: float) -> bool:
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, _PATIENCE)):
        for identity in processes:
            send_signal(identity, number)
        deadline = time.monotonic() + seconds
        while any(is_alive(identity) for identity in processes):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.02)
        else:
            return True
    return False


def _folder(handle: Mapping[str, Any]) -> ServingFolder:
    from dovetail.local.serving_folder import ServingFolder

    return ServingFolder(Path(handle["folder"]))


def _own(handle: Mapping[str, Any]) -> ServingFolder:
    """The folder, where it bears the handle out: a record may come from elsewhere, and could name any process or address."""
    folder = _folder(handle)
    processes = folder.processes()
    if processes is None:
        raise DeploymentError(f"Deployment '{handle['name']}' keeps its files in {folder.path}, which is not here: {_elsewhere(handle)}.")
    if processes != handle["processes"] or folder.serving().url != handle["url"]:
        raise DeploymentError(f"The record of deployment '{handle['name']}' is not what {folder.path} says, so it is not acted on.")
    return folder


def _elsewhere(handle: Mapping[str, Any]) -> str:
    host = next((identity.get("host") for identity in handle["processes"]), "another machine")
    return f"it was started on {host}, perhaps in a container; ask for it there"


def _with_log(sentence: str, folder: ServingFolder) -> str:
    lines = folder.tail(_LOG_LINES)
    return "\n".join([f"{sentence} The last lines of {folder.log}:", *(f"  {line}" for line in lines)]) if lines else sentence
