"""For tests: an engine and a registry of their own, on this machine alone, and images that need no network.

    with DockerEngine() as engine:
        image = python_image(engine)
        engine.client().containers.run(image, ["python", "-c", "print(1)"], network_mode="host")

An engine that `DOVETAIL_TEST_DOCKER_HOST` names is used as it is; else a `dockerd` is started, which takes root.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail_docker.testing_images import installed_image, python_image

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DockerEngine", "LocalRegistry", "Unavailable", "free_port", "installed_image", "python_image"]

HOST_VARIABLE = "DOVETAIL_TEST_DOCKER_HOST"
_PREFIX = "dvd-"  # short, as the path of a socket must be
_STARTUP = 60.0  # seconds; it takes less than one on an idle machine
_SHUTDOWN = 20.0


class Unavailable(RuntimeError):
    """What a test needs cannot be had on this machine; the message says why, and what to install."""


class DockerEngine:
    """`host`: its address. Containers share the network of this machine, so run them with `network_mode="host"`.

    `pid` is the daemon's, None for an engine of somebody else's. `kill` and `start` are for tests of what an engine's end
    leaves behind.
    """

    def __init__(self) -> None:
        self.host = os.environ.get(HOST_VARIABLE, "")
        self.pid: int | None = None
        self.folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Any] = []

    def __enter__(self) -> Self:
        if not self.host:
            _sweep()
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            (self.folder / "owner").write_text(str(os.getpid()))
            self.host = f"unix://{self.folder}/docker.sock"
            try:
                self.start()
            except BaseException:
                _remove(self.folder)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            self._end_containers()
        for client in self._clients:
            client.close()
        if self.folder is not None:
            self._stop()
            _remove(self.folder)

    def client(self) -> Any:
        """A client of the docker SDK; closed with the engine."""
        import docker

        made = docker.DockerClient(base_url=self.host, timeout=120)
        self._clients.append(made)
        return made

    def start(self) -> None:
        """Start the daemon, again too after `kill`; returns when it answers."""
        program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Unavailable(f"there is no dockerd here. Install it (`apt-get install docker.io`), or set {HOST_VARIABLE} to an engine's address.")
        if os.geteuid() != 0:
            raise Unavailable(f"dockerd can be started by root alone. Set {HOST_VARIABLE} to the address of an engine that runs.")
        folder = self.folder
        assert folder is not None, "an engine of somebody else's is not started here"
        command = [
            program, "--iptables=false", "--ip6tables=false", "--bridge=none", "--host", self.host, "--data-root", str(folder / "data"),
            "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"), "--shutdown-timeout", "2",
        ]  # fmt: skip
        for left in ("pid", "exec/containerd/containerd.pid"):
            (folder / left).unlink(missing_ok=True)
        with open(folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, preexec_fn=_end_with_parent)  # noqa: PLW1509  # it calls the kernel alone
        self.pid = self._process.pid
        self._wait_until_it_answers(folder / "log")

    def kill(self) -> None:
        """End the daemon at once, as a crash would; its containers go on until it is started again."""
        assert self._process is not None
        assert self.folder is not None
        self._process.kill()
        self._process.wait()
        _end_processes_naming(f"{self.folder}/exec/containerd/containerd.toml")  # dying by itself it could meet the next daemon

    def _wait_until_it_answers(self, log: Path) -> None:
        process, path = self._process, self.host.removeprefix("unix://")
        assert process is not None
        until = time.monotonic() + _STARTUP
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(2)
                asked.connect(path)
                asked.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                if b" 200 " in asked.recv(100):
                    return
            time.sleep(0.02)
        said = log.read_text(errors="replace")[-2000:]
        self._stop()
        raise Unavailable(f"dockerd did not start; the end of what it said:\n{said}")

    def _end_containers(self) -> None:
        with contextlib.suppress(Exception):  # an engine that a test has killed has none to end
            for container in self.client().containers.list(all=True):
                container.remove(force=True)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_SHUTDOWN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _sweep() -> None:
    """Remove what tests left that were killed; their daemons end with them."""
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/owner"):
        with contextlib.suppress(OSError, ValueError):
            if not Path(f"/proc/{int(owner.read_text())}").exists():
                _remove(owner.parent)


def _remove(folder: Path) -> None:
    _end_processes_naming(f"{folder}/")
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in sorted((place for place in mounted if place.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that starts it has ended."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _end_processes_naming(path: str) -> None:
    """End what a daemon started, which has a path of its own folder in its command line; returns when it has ended."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if int(found.parent.name) != os.getpid() and path.encode() in found.read_bytes():
                os.kill(int(found.parent.name), signal.SIGKILL)
                _wait_for_end(found)


def _wait_for_end(command_line: Path) -> None:
    until = time.monotonic() + _SHUTDOWN
    while time.monotonic() < until and command_line.read_bytes():  # empty or missing: it has ended
        time.sleep(0.01)


def mounted_sources() -> list[str]:
    """Volumes by which `python_image` has this environment, and what is installed in it from folders, compiled, as containers may not write there."""
    import dovetail
    from dovetail.values.project import editable_roots

    sources = {str(Path(dovetail.__file__).resolve().parents[1]), *(folder.rstrip("/") for folder in editable_roots())}
    for folder in sorted(sources):
        compileall.compile_dir(folder, quiet=2, workers=1)
    return [f"{folder}:{folder}:ro" for folder in sorted({sys.prefix, *sources}) if Path(folder).is_dir()]


class LocalRegistry:
    """A container registry on loopback, empty. `uri`: its host and port. `password`: for the user `tester`, None lets everybody in."""

    user = "tester"

    def __init__(self, password: str | None = None) -> None:
        self.password = password
        self.port = free_port()
        self.uri = f"127.0.0.1:{self.port}"
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("docker-registry") or shutil.which("registry")
        if program is None:
            raise Unavailable("there is no docker-registry here. Install it: `apt-get install docker-registry`.")
        self._folder = Path(tempfile.mkdtemp(prefix="dvr-"))
        configuration = self._folder / "registry.yml"
        configuration.write_text(_registry_configuration(self._folder, self.uri, self._password_file()))
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen([program, "serve", str(configuration)], stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + _STARTUP
        while time.monotonic() < until and self._process.poll() is None:
            if _answers(f"http://{self.uri}/"):
                return self
            time.sleep(0.02)
        said = (self._folder / "log").read_text(errors="replace")[-2000:]
        self.__exit__()
        raise Unavailable(f"the registry did not start; the end of what it said:\n{said}")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_SHUTDOWN)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """What it was asked, a line each."""
        return (self._folder / "log").read_text(errors="replace") if self._folder else ""

    def _password_file(self) -> Path | None:
        if self.password is None or self._folder is None:
            return None
        import bcrypt  # the registry takes no other hash

        file = self._folder / "htpasswd"
        file.write_text(f"{self.user}:{bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()}\n")
        return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # loopback
            return True
    except OSError:
        return False


def _registry_configuration(folder: Path, address: str, passwords: Path | None) -> str:
    auth = f"auth: {{htpasswd: {{realm: tests, path: {passwords}}}}}\n" if passwords else ""
    return f"version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\nhttp: {{addr: '{address}'}}\n{auth}"
