"""Serves a model by processes on this machine, which go on after whoever started them has ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import IO, TYPE_CHECKING, Any, ClassVar

from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.components.serving.deployer import ProcessModelDeployer, folder_of, own_folder
from dovetail.errors import DeploymentError
from dovetail.values.encoding import Json
from dovetail.values.processes import is_alive, send_signal

if TYPE_CHECKING:
    from dovetail.components.serving.folder import ServingFolder

_POLL = 0.02  # seconds between two looks how an update fares
_HANDOVER = 3.0  # seconds in which the old version takes no more connections
_WITHDRAWAL = 5.0  # seconds in which an update that was given up is
_INSTALL = 'Install it: pip install "dovetail[serve]"'


class LocalModelDeployer(ProcessModelDeployer):
    """A deployment answers `GET /health` and `POST /predict`; the latter asks for `Authorization: Bearer <token>`.

    The token is made anew for each deployment and lies, readable by the user alone, in the deployment's folder;
    `token(handle)` reads it. A deployment may set `port` and `startup_timeout` for itself. With several replicas it has
    failed as soon as one of them has. Traffic is not encrypted, so a host beyond loopback is for trusted networks.
    An update keeps address and token, and loses no request: the old processes let their connections go once the new ones serve.
    """

    keeper: ClassVar[str] = "dovetail.local.serving_supervisor"
    takes_listener: ClassVar[bool] = True

    request_timeout: float = field(default=60.0, metadata={"help": "Seconds to send a request in, and to wait for its answer."})
    max_request_bytes: int = field(default=64 << 20, metadata={"help": "The longest request that is read."})
    require_token: bool = field(default=True, metadata={"help": "Whether callers must show the deployment's token."})
    python: str | None = field(default=None, metadata={"help": "Interpreter of the server; this process's when not set."})

    def check(self) -> list[str]:
        problems = super().check()
        if not os.access(self.interpreter(), os.X_OK):
            problems.append(f"The model deployer's interpreter {self.interpreter()!r} cannot be run; set `python` to one that can.")
        return problems + self._missing()

    def _missing(self) -> list[str]:
        """Of another interpreter, its own server says so."""
        from importlib.util import find_spec

        if self.python is not None or find_spec("uvicorn") is not None:
            return []
        return [f"The built-in model deployer serves by uvicorn, which is not installed. {_INSTALL}"]

    def interpreter(self) -> str:
        return self.python or sys.executable

    def new_token(self) -> str:
        import secrets

        return secrets.token_urlsafe(32) if self.require_token else ""

    def start(self, deployment: Deployment) -> dict[str, Json]:
        self.check_settings(deployment)
        for problem in self._missing():
            raise DeploymentError(f"Deployment '{deployment.name}' cannot be served. {problem}")
        return {**super().start(deployment), "generation": 1}

    def command(self, deployment: Deployment, folder: ServingFolder, host: str, port: int) -> Sequence[str]:
        command = [self.interpreter(), "-u", "-m", "dovetail.local.serving_worker"]
        self._ask_for(deployment, folder, 1, command)
        return command

    def _ask_for(self, deployment: Deployment, folder: ServingFolder, generation: int, command: Sequence[str]) -> None:
        from dovetail.components.serving.launch import import_folders
        from dovetail.local.serving import Serving

        about = folder.about()
        serving = Serving(
            id=about["id"],
            name=deployment.name,
            url=about["url"],
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
        asked = {"command": list(command), "replicas": deployment.replicas, "serving": serving.to_json()}
        folder.write(f"generation-{generation}.json", json.dumps(asked, indent=1))

    def healthy(self, handle: Mapping[str, Any], timeout: float) -> bool:
        from dovetail.components.serving.client import answers

        return answers(handle["url"], "/health", timeout, deployment=handle["id"])

    def ask(self, handle: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        from dovetail.components.serving.client import ask

        status, answer = ask(handle["url"], "/predict", message, self.token(handle), timeout)
        if status != 200:
            raise DeploymentError(f"Deployment '{handle['name']}' refused the request ({status}): {answer.get('error')}")
        return answer

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        """`stopped` too for what another model has been put in the place of."""
        found = super().status(handle)
        served = folder_of(handle).read("current")
        if found is DeploymentStatus.RUNNING and served is not None and int(served) != handle.get("generation", 1):
            return DeploymentStatus.STOPPED
        return found

    # -- updating ------------------------------------------------------------------------------------------------------

    def update(self, handle: Mapping[str, Any], deployment: Deployment) -> dict[str, Json]:
        from dovetail.components.serving.launch import Unhealthy

        self.check_settings(deployment)
        if is_alive(handle["processes"][0]) is not True or not self._keeps_address(handle, deployment):
            return ModelDeployer.update(self, handle, deployment)
        folder = own_folder(handle)
        logged = folder.logged()
        deadline = time.monotonic() + self._timeout(deployment)
        try:
            with _alone(folder, deployment.name, deadline) as asking:
                number = self._updated(handle, folder, deployment, deadline, asking)
        except Unhealthy as error:
            raise DeploymentError(self.with_log(f"Deployment '{deployment.name}' was not updated: its new version {error}.", folder, logged)) from error
        except OSError as error:
            raise folder.unwritable(deployment.name, error) from error
        return {**handle, "token_required": self.require_token, "generation": number}

    def _updated(self, handle: Mapping[str, Any], folder: ServingFolder, deployment: Deployment, deadline: float, asking: IO[bytes]) -> int:
        from dovetail.components.serving.launch import Unhealthy

        number = self._asked(handle, folder, deployment)
        try:
            self._wait_for(handle, folder, number, deadline)
        except BaseException as given_up:
            asking.close()  # nobody waits for it any more
            with contextlib.suppress(Unhealthy):
                self._wait_for(handle, folder, number, time.monotonic() + _WITHDRAWAL)
                if isinstance(given_up, Unhealthy):
                    return number  # it got there at the last moment
            raise
        return number

    def _keeps_address(self, handle: Mapping[str, Any], deployment: Deployment) -> bool:
        from urllib.parse import urlsplit

        from dovetail.components.serving.launch import url_of

        here = urlsplit(handle["url"])
        port: Any = deployment.settings.get("port", self.port)
        return folder_of(handle).about().get("host") == self.host and (not port or url_of(self.host, port) == f"{here.scheme}://{here.netloc}")

    def _asked(self, handle: Mapping[str, Any], folder: ServingFolder, deployment: Deployment) -> int:
        if self.require_token and not folder.token():
            folder.write("token", self.new_token())
        number = 1 + max(int(file.stem.partition("-")[2]) for file in folder.path.glob("generation-*.json"))
        self._ask_for(deployment, folder, number, [self.interpreter(), "-u", "-m", "dovetail.local.serving_worker"])
        send_signal(handle["processes"][0], signal.SIGHUP)
        return number

    def _wait_for(self, handle: Mapping[str, Any], folder: ServingFolder, number: int, deadline: float) -> None:
        from dovetail.components.serving.launch import Unhealthy, too_late

        while folder.read("current") != str(number):
            why = self._refusal(handle, folder, number)
            if why is not None:
                raise Unhealthy(why)
            if time.monotonic() > deadline:
                raise too_late()
            time.sleep(_POLL)
        until = time.monotonic() + _HANDOVER
        while folder.read("switched") != str(number) and time.monotonic() < until:
            time.sleep(_POLL)

    def _refusal(self, handle: Mapping[str, Any], folder: ServingFolder, number: int) -> str | None:
        text = folder.read(f"refused-{number}.json")
        if text is not None:
            return str(json.loads(text)["why"])
        return None if is_alive(handle["processes"][0]) else "was ended with the one that served before"


@contextlib.contextmanager
def _alone(folder: ServingFolder, name: str, deadline: float) -> Iterator[IO[bytes]]:
    """One update at a time. The lock goes with the process that holds it, by which the supervisor knows that nobody waits any more."""
    import fcntl

    with open(os.open(folder.path / "updating", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DeploymentError(
                        f"Deployment '{name}' was not updated: another update of it goes on. Wait for that one, or give it longer with "
                        "`startup_timeout`."
                    ) from None
                time.sleep(_POLL)
        yield file
