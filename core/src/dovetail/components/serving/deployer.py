"""The base of deployers whose servers are processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import DeploymentError, near
from dovetail.values.encoding import Json
from dovetail.values.processes import is_alive, send_signal

if TYPE_CHECKING:
    import socket

    from dovetail.components.serving.folder import ServingFolder

_PATIENCE = 5.0  # seconds in which a healthy server says so, and a killed one ends
_POLL = 0.1  # seconds between two questions whether a server is healthy


class ProcessModelDeployer(ModelDeployer):
    """Each deployment has a folder of its own, and a process of Dovetail's that watches over its servers: `keeper`.

    A subclass says what to run (`command`), how to ask whether that is well (`healthy`), and how data reaches it (`ask`). All else is
    here: it outlives its client, a failed start leaves nothing behind, no record makes it act on what is not its own.
    `settings`: what a deployment may set; `shown_lines`: lines of the log that an error shows; `keeper`: the watching module, which
    is given the listening socket if it `takes_listener`.
    """

    confined = "machine"
    settings: ClassVar[tuple[str, ...]] = ("port", "startup_timeout")
    shown_lines: ClassVar[int] = 20
    keeper: ClassVar[str] = "dovetail.components.serving.keeper"
    takes_listener: ClassVar[bool] = False

    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen at."})
    port: int | None = field(default=None, metadata={"help": "Port to listen at; a free one when not set."})
    startup_timeout: float = field(default=120.0, metadata={"help": "Seconds until the model must be loaded and served."})
    stop_timeout: float = field(default=10.0, metadata={"help": "Seconds that requests under way have left when it is stopped."})
    request_timeout: float = field(default=60.0, metadata={"help": "Seconds to wait for an answer."})

    # -- what a subclass says ------------------------------------------------------------------------------------------

    @abstractmethod
    def command(self, deployment: Deployment, folder: ServingFolder, host: str, port: int) -> Sequence[str]:
        """What serves the deployment at that address. Files that it needs are written into the folder, where it will be run.

        Raises DeploymentError for what cannot be served.
        """

    @abstractmethod
    def healthy(self, handle: Mapping[str, Any], timeout: float) -> bool:
        """Whether it answers at the handle's `url` within so many seconds; never raises."""

    @abstractmethod
    def ask(self, handle: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        """Put a question that `serving.data.request` made, and give the answer that `serving.data.unpack` reads.

        Raises TimeoutError, OSError where nothing answers, and DeploymentError where it refuses.
        """

    def environment(self) -> dict[str, str]:
        """The variables that the server is given."""
        from dovetail.values.project import find_project

        return {**os.environ, "DOVETAIL_PROJECT": str(find_project().root), "PYTHONUNBUFFERED": "1"}

    def interpreter(self) -> str:
        """What runs the keeper."""
        return sys.executable

    def new_token(self) -> str:
        """What callers of a new deployment must show; "" for nothing."""
        return ""

    # -- starting ------------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        from dovetail.components.serving.launch import listen

        try:
            listen(self.host, None, self.name or "check").close()
        except DeploymentError as error:
            return [str(error)]
        return []

    def start(self, deployment: Deployment) -> dict[str, Json]:
        from dovetail.components.serving.launch import Unhealthy, listen

        self.check_settings(deployment)
        deadline = time.monotonic() + self._timeout(deployment)
        port: Any = deployment.settings.get("port", self.port)
        listener = listen(self.host, port, deployment.name)
        with listener:
            folder, handle = self._prepare(deployment, listener)
            if not self.takes_listener:
                listener.close()
            try:
                return self._launch(folder, handle, listener, deadline)
            except Unhealthy as error:
                raise DeploymentError(self.with_log(f"Deployment '{deployment.name}' {error}.", folder)) from error

    def check_settings(self, deployment: Deployment) -> None:
        """Raises DeploymentError for a setting that is unknown or cannot be."""
        name = f"Deployment '{deployment.name}'"
        for setting in deployment.settings:
            if setting not in self.settings:
                flavor = self.flavor or type(self).__name__.removesuffix("ModelDeployer").lower()
                raise DeploymentError(f"{name} sets '{setting}', which the {flavor} model deployer does not know. {near(setting, self.settings)}")
        port: Any = deployment.settings.get("port", self.port)
        timeout: Any = deployment.settings.get("startup_timeout", self.startup_timeout)
        replicas: object = deployment.replicas
        if not (port is None or (type(port) is int and 0 <= port < 65536)):
            raise DeploymentError(f"{name} has the port {port!r}; give a number below 65536, or none for a free one.")
        if type(timeout) not in (int, float) or not timeout > 0:
            raise DeploymentError(f"{name} has the startup_timeout {timeout!r}; give a number of seconds above 0.")
        if type(replicas) is not int or replicas < 1:
            raise DeploymentError(f"{name} has {replicas!r} replicas; give a whole number from 1 on.")

    def _timeout(self, deployment: Deployment) -> float:
        given: Any = deployment.settings.get("startup_timeout", self.startup_timeout)
        return float(given)

    def _prepare(self, deployment: Deployment, listener: socket.socket) -> tuple[ServingFolder, dict[str, Any]]:
        import secrets

        from dovetail.components.serving.folder import ServingFolder
        from dovetail.components.serving.launch import url_of

        host, port = listener.getsockname()[:2]
        id_, token = secrets.token_hex(8), self.new_token()
        about: dict[str, Json] = {
            "name": deployment.name, "id": id_, "url": url_of(host, port), "host": self.host, "grace": self.stop_timeout,
        }  # fmt: skip
        folder = ServingFolder.create(deployment.folder.absolute() / id_, about, token)
        try:
            folder.write("command.json", json.dumps(list(self.command(deployment, folder, str(host), int(port)))))
        except BaseException as error:
            folder.remove()
            if isinstance(error, OSError):
                raise folder.unwritable(deployment.name, error) from error
            raise
        shared = {key: about[key] for key in ("name", "id", "url")}
        return folder, {**shared, "folder": str(folder.path), "token_required": bool(token)}

    def _launch(self, folder: ServingFolder, handle: dict[str, Any], listener: socket.socket, deadline: float) -> dict[str, Json]:
        from dovetail.components.serving.launch import launch

        program = [self.interpreter(), "-u", "-m", self.keeper, str(folder.path)]
        launched = launch(folder, program, self.environment(), listener if self.takes_listener else None)
        try:
            identity = launched.identity(deadline)
            found = {**handle, "processes": [identity]}
            self._wait_until_healthy(folder, found, deadline)
            folder.commit([identity])
            launched.keep()
        except BaseException as error:
            launched.withdraw()
            if isinstance(error, OSError):
                raise folder.unwritable(handle["name"], error) from error
            raise
        return found

    def _wait_until_healthy(self, folder: ServingFolder, handle: Mapping[str, Any], deadline: float) -> None:
        from dovetail.components.serving.launch import Unhealthy, left_until, too_late

        alive: bool | None = True
        while alive and not self.healthy(handle, min(left_until(deadline), _PATIENCE)):
            alive = is_alive(handle["processes"][0])
            if alive and time.monotonic() > deadline:
                raise too_late()
            time.sleep(_POLL if alive else 0)
        if is_alive(handle["processes"][0]) is False or folder.end() is not None:
            how = folder.end()
            raise Unhealthy(f"ended before it was healthy{f' ({how})' if how else ''}")

    # -- updating ------------------------------------------------------------------------------------------------------

    def update(self, handle: Mapping[str, Any], deployment: Deployment) -> dict[str, Json]:
        """The new one is tried at another port; then the old one ends, and the new one is started at its address.

        Requests in between find nobody. Should the address be taken by then, the one that was tried goes on to serve.
        """
        from urllib.parse import urlsplit

        self.check_settings(deployment)
        if self.status(handle) is not DeploymentStatus.RUNNING:
            return super().update(handle, deployment)
        tried = self.start(_at_port(deployment, 0))
        try:
            self.stop(handle)
            made = self.start(_at_port(deployment, urlsplit(handle["url"]).port or 0))
        except DeploymentError:
            return tried
        except BaseException:
            self.stop(tried)
            raise
        self.stop(tried)
        return made

    # -- while it serves -----------------------------------------------------------------------------------------------

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        alive = is_alive(handle["processes"][0])
        folder = folder_of(handle)
        if alive is False:
            return DeploymentStatus.STOPPED if folder.stopped else DeploymentStatus.FAILED
        if alive and folder.end() is not None:
            return DeploymentStatus.FAILED
        if self.healthy(handle, _PATIENCE):
            return DeploymentStatus.RUNNING
        return DeploymentStatus.UNKNOWN if alive is None else DeploymentStatus.FAILED

    def explain(self, handle: Mapping[str, Any]) -> str:
        """One sentence on a deployment that does not serve, with the last lines of its log."""
        folder, name = folder_of(handle), f"Deployment '{handle['name']}'"
        alive = is_alive(handle["processes"][0])
        if alive is None:
            return f"{name} does not answer at {handle['url']}, and {_elsewhere(handle)}."
        if folder.stopped:
            return f"{name} was stopped. Deploy the model again to ask it."
        how = folder.end()
        if alive and how is None:
            return self.with_log(f"{name} runs and does not answer at {handle['url']}. Stop it, and deploy the model again.", folder)
        if alive and self.healthy(handle, _PATIENCE):
            return self.with_log(f"A process of {name[0].lower()}{name[1:]} has ended by itself ({how}); what is left of it serves on. Deploy the model again to mend it.", folder)
        return self.with_log(f"{name} has ended by itself{f' ({how})' if how else ''}. Deploy the model again to ask it.", folder)

    def token(self, handle: Mapping[str, Any]) -> str:
        """What a caller must show; "" where the deployment asks for nothing."""
        return own_folder(handle).token() if handle["token_required"] else ""

    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        """What the model's method returns for `data`, as it returns it: an array for an array, where numpy is installed.

        Lists, tuples, dicts, scalars, dates, numpy arrays, pandas frames and series reach the model as they are; a dict of
        columns reaches it as a frame, and so do rows given as dicts where the model was fitted on a frame. An index does not.
        """
        from dovetail.components.serving.data import request, unpack
        from dovetail.values.encoding import NotEncodable

        self._require_alive(handle)
        name, url = f"Deployment '{handle['name']}'", handle["url"]
        try:
            message = request(data, method)
        except NotEncodable as error:
            raise DeploymentError(f"{name} cannot be sent this data: {error} Give lists, dicts, arrays or frames.") from error
        try:
            answer = self.ask(handle, message, self.request_timeout)
        except TimeoutError as error:
            raise DeploymentError(
                f"{name} has not answered within {self.request_timeout:g} seconds. Send fewer rows, or raise `request_timeout`."
            ) from error
        except OSError as error:
            self._require_alive(handle)
            raise DeploymentError(f"{name} does not answer at {url}: {error}.") from error
        if "predictions" not in answer:
            raise DeploymentError(f"What listens at {url} does not answer as a deployment does: it sent no predictions.")
        return unpack(answer["predictions"], answer, "rows")

    def _require_alive(self, handle: Mapping[str, Any]) -> None:
        """Another server may have been given the port since, and is not to see token and data."""
        alive = is_alive(handle["processes"][0])
        if not (alive or (alive is None and self.healthy(handle, _PATIENCE))):
            raise DeploymentError(self.explain(handle))

    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        return own_folder(handle).tail(lines)

    def stop(self, handle: Mapping[str, Any]) -> None:
        keeper = handle["processes"][0]
        alive = is_alive(keeper)
        if alive is False and not folder_of(handle).path.exists():
            return
        folder = own_folder(handle)
        if alive is None:
            raise DeploymentError(f"Deployment '{handle['name']}' cannot be stopped from here: {_elsewhere(handle)}.")
        folder.mark_stopped()
        send_signal(keeper, signal.SIGTERM)
        if _all_ended([keeper], self.stop_timeout + 1):
            keeper = None
        left = [*([keeper] if keeper else []), *folder.workers()]
        for number, seconds in ((signal.SIGTERM, 0.0 if keeper else 1.0), (signal.SIGKILL, _PATIENCE)):
            for identity in left:
                _signal_group(identity, number)
            if _all_ended(left, seconds):
                return
        shown = ", ".join(str(identity["pid"]) for identity in left if is_alive(identity))
        raise DeploymentError(f"Deployment '{handle['name']}' could not be ended: process {shown} does not end when it is killed.")

    def with_log(self, sentence: str, folder: ServingFolder, since: int = 0) -> str:
        lines = folder.tail(self.shown_lines, since)
        return "\n".join([f"{sentence} The last lines of {folder.log}:", *(f"  {line}" for line in lines)]) if lines else sentence


def _at_port(deployment: Deployment, port: int) -> Deployment:
    return replace(deployment, settings={**deployment.settings, "port": port})


def folder_of(handle: Mapping[str, Any]) -> ServingFolder:
    from dovetail.components.serving.folder import ServingFolder

    return ServingFolder(Path(handle["folder"]))


def own_folder(handle: Mapping[str, Any]) -> ServingFolder:
    """The folder, where it bears the handle out: a record may come from elsewhere, and could name any process or address."""
    folder = folder_of(handle)
    processes = folder.processes()
    if processes is None:
        raise DeploymentError(f"Deployment '{handle['name']}' keeps its files in {folder.path}, which is not here: {_elsewhere(handle)}.")
    if processes != handle["processes"] or folder.about().get("url") != handle["url"]:
        raise DeploymentError(f"The record of deployment '{handle['name']}' is not what {folder.path} says, so it is not acted on.")
    return folder


def _elsewhere(handle: Mapping[str, Any]) -> str:
    host = next((identity.get("host") for identity in handle["processes"]), "another machine")
    return f"it was started on {host}, perhaps in a container; ask for it there"


def _signal_group(identity: Mapping[str, Any], number: int) -> None:
    """What the process leads ends with it; its group is its own as long as it is alive."""
    with contextlib.suppress(ProcessLookupError):
        if is_alive(identity) and os.getpgid(identity["pid"]) == identity["pid"]:
            os.killpg(identity["pid"], number)
    send_signal(identity, number)


def _all_ended(processes: Sequence[Mapping[str, Any]], seconds: float) -> bool:
    """Whether none of them is alive any more, as soon as that is so, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while any(is_alive(identity) for identity in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True
