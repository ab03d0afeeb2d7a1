"""Serves a model by processes on this machine, which go on after whoever started them has ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import DeploymentError, near
from dovetail.values.encoding import Json
from dovetail.values.processes import is_alive, send_signal

if TYPE_CHECKING:
    import socket

    from dovetail.local.serving_folder import Serving, ServingFolder

_SETTINGS = ("port", "startup_timeout")
_LOG_LINES = 20  # shown in an error
_PATIENCE = 5.0  # seconds in which a healthy server says so, and a killed one ends


class LocalModelDeployer(ModelDeployer):
    """A deployment answers `GET /health` and `POST /predict`; the latter asks for `Authorization: Bearer <token>`.

    The token is made anew for each deployment and lies, readable by the user alone, in the deployment's folder;
    `token(handle)` reads it. A deployment may set `port` and `startup_timeout` for itself. With several replicas it has
    failed as soon as one of them has. Traffic is not encrypted, so a host beyond loopback is for trusted networks.
    """

    confined = "machine"

    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen at."})
    port: int | None = field(default=None, metadata={"help": "Port to listen at; a free one when not set."})
    startup_timeout: float = field(default=120.0, metadata={"help": "Seconds until the model must be loaded and served."})
    stop_timeout: float = field(default=10.0, metadata={"help": "Seconds that requests under way have left when it is stopped."})
    request_timeout: float = field(default=60.0, metadata={"help": "Seconds to send a request in, and to wait for its answer."})
    max_request_bytes: int = field(default=64 << 20, metadata={"help": "The longest request that is read."})
    require_token: bool = field(default=True, metadata={"help": "Whether callers must show the deployment's token."})
    python: str | None = field(default=None, metadata={"help": "Interpreter of the server; this process's when not set."})

    def check(self) -> list[str]:
        from dovetail.local.serving_launch import listen

        problems = []
        try:
            listen(self.host, None, self.name or "check").close()
        except DeploymentError as error:
            problems.append(str(error))
        if not os.access(self._python(), os.X_OK):
            problems.append(f"The model deployer's interpreter {self._python()!r} cannot be run; set `python` to one that can.")
        return problems

    def _python(self) -> str:
        return self.python or sys.executable

    def start(self, deployment: Deployment) -> dict[str, Json]:
        from dovetail.local.serving_launch import listen

        port, timeout = self._settings(deployment)
        with listen(self.host, port, deployment.name) as listener:
            serving, folder = self._prepare(deployment, listener)
            processes = self._launch(deployment, serving, folder, listener, timeout)
        return {
            "name": serving.name,
            "id": serving.id,
            "url": serving.url,
            "folder": str(folder.path),
            "token_required": serving.require_token,
            "processes": list(processes),
        }

    def _settings(self, deployment: Deployment) -> tuple[int | None, float]:
        name = f"Deployment '{deployment.name}'"
        for setting in deployment.settings:
            if setting not in _SETTINGS:
                raise DeploymentError(
                    f"{name} sets '{setting}', which the local model deployer does not know. {near(setting, _SETTINGS)}"
                )
        port: Any = deployment.settings.get("port", self.port)
        timeout: Any = deployment.settings.get("startup_timeout", self.startup_timeout)
        replicas: object = deployment.replicas
        if not (port is None or (type(port) is int and 0 <= port < 65536)):
            raise DeploymentError(f"{name} has the port {port!r}; give a number below 65536, or none for a free one.")
        if type(timeout) not in (int, float) or not timeout > 0:
            raise DeploymentError(f"{name} has the startup_timeout {timeout!r}; give a number of seconds above 0.")
        if type(replicas) is not int or replicas < 1:
            raise DeploymentError(f"{name} has {replicas!r} replicas; give a whole number from 1 on.")
        return port, float(timeout)

    def _prepare(self, deployment: Deployment, listener: socket.socket) -> tuple[Serving, ServingFolder]:
        import secrets

        from dovetail.local.serving_folder import Serving, ServingFolder
        from dovetail.local.serving_launch import import_folders

        serving = Serving(
            id=secrets.token_hex(8),
            name=deployment.name,
            url=_url(*listener.getsockname()[:2]),
            model=str(deployment.model.absolute()),
            materializer=deployment.materializer,
            type=deployment.type,
            trusted=deployment.trusted,
            require_token=self.require_token,
            timeout=self.request_timeout,
            grace=self.stop_timeout,
            max_request_bytes=self.max_request_bytes,
            materializers=dict(deployment.materializers),
            path=import_folders(),
        )
        return serving, ServingFolder.create(deployment.folder.absolute() / serving.id, serving, secrets.token_urlsafe(32))

    def _launch(
        self, deployment: Deployment, serving: Serving, folder: ServingFolder, listener: socket.socket, timeout: float
    ) -> list[dict[str, Json]]:
        from dovetail.local.serving_client import healthy
        from dovetail.local.serving_launch import Unhealthy, launch

        deadline = time.monotonic() + timeout
        launched = []
        try:
            for _ in range(deployment.replicas):
                launched.append(launch(folder, listener, self._python()))
            processes = [started.identity(deadline) for started in launched]
            if not healthy(serving.url, serving.id, _PATIENCE):
                raise Unhealthy(f"does not answer at {serving.url}")
            folder.commit(processes)
            for started in launched:
                started.keep()
        except BaseException as error:
            for started in launched:
                started.withdraw()
            if isinstance(error, Unhealthy):
                raise DeploymentError(_with_log(f"Deployment '{deployment.name}' {error}.", folder)) from error
            raise
        return processes

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        from dovetail.local.serving_client import healthy

        alive = [is_alive(identity) for identity in handle["processes"]]
        if False in alive:
            return DeploymentStatus.STOPPED if _folder(handle).stopped else DeploymentStatus.FAILED
        if healthy(handle["url"], handle["id"], _PATIENCE):
            return DeploymentStatus.RUNNING
        return DeploymentStatus.UNKNOWN if None in alive else DeploymentStatus.FAILED

    def token(self, handle: Mapping[str, Any]) -> str:
        """What a caller sends as `Authorization: Bearer …`; "" where the deployment asks for none."""
        return _own(handle).token() if handle["token_required"] else ""

    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        """What the model's method returns for `data`, as it returns it: an array for an array, where numpy is installed.

        Lists, tuples, dicts, scalars, dates, numpy arrays, pandas frames and series reach the model as they are; a dict of
        columns reaches it as a frame, and so do rows given as dicts where the model was fitted on a frame. An index does not.
        """
        from dovetail.local.serving_client import ask
        from dovetail.local.serving_data import request, unpack
        from dovetail.values.encoding import NotEncodable

        self._require_alive(handle)
        name, url = f"Deployment '{handle['name']}'", handle["url"]
        try:
            message = request(data, method)
        except NotEncodable as error:
            raise DeploymentError(f"{name} cannot be sent this data: {error} Give lists, dicts, arrays or frames.") from error
        try:
            status, answer = ask(url, "/predict", message, self.token(handle), self.request_timeout)
        except TimeoutError as error:
            raise DeploymentError(
                f"{name} has not answered within {self.request_timeout:g} seconds. Send fewer rows, or raise `request_timeout`."
            ) from error
        except OSError as error:
            self._require_alive(handle)
            raise DeploymentError(f"{name} does not answer at {url}: {error}.") from error
        if status != 200:
            raise DeploymentError(f"{name} refused the request ({status}): {answer.get('error')}")
        if "predictions" not in answer:
            raise DeploymentError(f"What listens at {url} does not answer as a deployment does: it sent no predictions.")
        return unpack(answer["predictions"], answer, "rows")

    def _require_alive(self, handle: Mapping[str, Any]) -> None:
        """Another server may have been given the port since, and is not to see token and data."""
        from dovetail.local.serving_client import healthy

        alive = {is_alive(identity) for identity in handle["processes"]}
        if True in alive or (None in alive and healthy(handle["url"], handle["id"], _PATIENCE)):
            return
        folder, name = _folder(handle), f"Deployment '{handle['name']}'"
        if None in alive:
            raise DeploymentError(f"{name} does not answer at {handle['url']}, and {_elsewhere(handle)}.")
        if folder.stopped:
            raise DeploymentError(f"{name} was stopped. Deploy the model again to ask it.")
        raise DeploymentError(_with_log(f"{name} has ended by itself. Deploy the model again to ask it.", folder))

    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        return _own(handle).tail(lines)

    def stop(self, handle: Mapping[str, Any]) -> None:
        alive = {is_alive(identity) for identity in handle["processes"]}
        if alive == {False} and not _folder(handle).path.exists():
            return
        folder = _own(handle)
        if None in alive:
            raise DeploymentError(f"Deployment '{handle['name']}' cannot be stopped from here: {_elsewhere(handle)}.")
        folder.mark_stopped()
        for number, seconds in ((signal.SIGTERM, self.stop_timeout + 1), (signal.SIGKILL, _PATIENCE)):
            for identity in handle["processes"]:
                send_signal(identity, number)
            if not _still_alive(handle["processes"], seconds):
                return
        left = ", ".join(str(identity["pid"]) for identity in handle["processes"] if is_alive(identity))
        raise DeploymentError(f"Deployment '{handle['name']}' could not be ended: process {left} does not end when it is killed.")


def _url(host: str, port: int) -> str:
    """Addresses that mean 'all of this machine' are reached by its loopback one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # it is not bound to here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _folder(handle: Mapping[str, Any]) -> ServingFolder:
    from dovetail.local.serving_folder import ServingFolder

    return ServingFolder(Path(handle["folder"]))


def _own(handle: Mapping[str, Any]) -> ServingFolder:
    """The folder, where it bears the handle out: a record may come from elsewhere, and could name any process or address."""
    folder = _folder(handle)
    processes = folder.processes()
    if processes is None:
        raise DeploymentError(
            f"Deployment '{handle['name']}' keeps its files in {folder.path}, which is not here: {_elsewhere(handle)}."
        )
    if processes != handle["processes"] or folder.serving().url != handle["url"]:
        raise DeploymentError(
            f"The record of deployment '{handle['name']}' is not what {folder.path} says, so it is not acted on."
        )
    return folder


def _elsewhere(handle: Mapping[str, Any]) -> str:
    host = next((identity.get("host") for identity in handle["processes"]), "another machine")
    return f"it was started on {host}, perhaps in a container; ask for it there"


def _with_log(sentence: str, folder: ServingFolder) -> str:
    lines = folder.tail(_LOG_LINES)
    return "\n".join([f"{sentence} The last lines of {folder.log}:", *(f"  {line}" for line in lines)]) if lines else sentence


def _still_alive(processes: Sequence[Mapping[str, Any]], seconds: float) -> bool:
    """Whether one of them is alive after so long; returns as soon as none is."""
    deadline = time.monotonic() + seconds
    while any(is_alive(identity) for identity in processes):
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.01)
    return False
