"""Starting what serves a deployment, so that either it serves or nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dovetail.components.serving.folder import ServingFolder
from dovetail.errors import DeploymentError
from dovetail.values.encoding import Json

_WITHDRAWAL = 2.0  # seconds in which a server that is given up ends by itself, before it is killed


def listen(host: str, port: int | None, name: str) -> socket.socket:
    """A listening socket. Raises DeploymentError for a host that is not this machine's, and a port that is in use."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DeploymentError(
            f"The host {host!r} of deployment '{name}' cannot be found: {error}. Set one of this machine's."
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise DeploymentError(
            f"Deployment '{name}' cannot listen at {host}:{port or 'any port'}: {error.strerror or error}. "
            f"Stop what listens there, or leave `port` unset for a free one."
        ) from error
    return listener


def url_of(host: str, port: int) -> str:
    """Addresses that mean 'all of this machine' are reached by its loopback one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # it is not bound to here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Unhealthy(Exception):
    """What became of a server, to follow the words that name it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What watches over a server, on its way. `process` starts it and ends; its pid is the group that nothing else is in."""

    control: socket.socket
    process: subprocess.Popen[bytes]

    def identity(self, deadline: float) -> dict[str, Json]:
        """Who it is, once it says so; Unhealthy when it has ended before or takes until after the deadline."""
        try:
            ended = self.process.wait(left_until(deadline)) != 0
            told = b""
            while not (ended or told.endswith(b"\n")):
                self.control.settimeout(left_until(deadline))
                read = self.control.recv(4096)
                told, ended = told + read, not read
        except (TimeoutError, subprocess.TimeoutExpired):
            raise too_late() from None
        except ConnectionError:
            ended = True
        if ended:
            raise Unhealthy("ended before it was healthy")
        identity: dict[str, Json] = json.loads(told)
        return identity

    def keep(self) -> None:
        """From here on it lives without the process that started it."""
        with self.control:
            self.control.sendall(b"k")

    def withdraw(self) -> None:
        """End it, however far it is; returns when it has ended."""
        with self.control:
            self.control.settimeout(_WITHDRAWAL)
            try:
                self.control.shutdown(socket.SHUT_WR)
                while self.control.recv(4096):
                    pass
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)  # it still holds its end, so the group is its own
            except OSError:
                pass  # it has ended
        self.process.wait()


def too_late() -> Unhealthy:
    return Unhealthy("was not healthy in time; give it longer with `startup_timeout`")


def left_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def launch(
    folder: ServingFolder, program: Sequence[str], environment: Mapping[str, str], listener: socket.socket | None = None
) -> Launch:
    """Start what watches over a server: in a session of its own, so that it outlives this process in every case.

    After its own arguments it is told the file number of the listener, if there is one, and that of its end of the control.
    """
    ours, theirs = socket.socketpair()
    inherited = [each.fileno() for each in (listener, theirs) if each is not None]
    try:
        with theirs, open(folder.log, "ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [*program, *map(str, inherited)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder.path,
                env=environment,
                start_new_session=True,
                pass_fds=inherited,
            )
    except OSError as error:
        ours.close()
        raise Unhealthy(f"cannot be started by {program[0]}: {error.strerror}; give another interpreter with `python`") from error
    return Launch(ours, process)


def import_folders() -> tuple[str, ...]:
    """Where this process imports from beyond its interpreter's own folders: the script's, PYTHONPATH, editable installs."""
    own = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    folders = [os.path.abspath(place) for place in sys.path if not place.endswith(".zip")]
    return tuple(folder for folder in folders if not (_installed(folder) or any(_below(folder, place) for place in own)))


def _installed(folder: str) -> bool:
    return any(part in ("site-packages", "dist-packages") for part in folder.split(os.sep))


def _below(folder: str, above: str | None) -> bool:
    return above is not None and (folder + os.sep).startswith(above + os.sep)
