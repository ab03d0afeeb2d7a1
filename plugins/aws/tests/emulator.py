"""moto as a process of its own, in which checking a condition and writing are one step, as they are in S3.

python emulator.py PORT
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_STARTUP = 60.0


@dataclass
class Emulator:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def emulator(bucket: str = "trial", **variables: str) -> Iterator[Emulator]:
    """Runs until the block ends; the bucket is there."""
    running = Emulator(free_port())
    command = [sys.executable, __file__, str(running.port)]
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(running, process)
        status, said = running.ask("PUT", f"/{bucket}")
        assert status == 200, said
        yield running
    finally:
        process.kill()
        process.wait()


def _wait(running: Emulator, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTUP
    while True:
        try:
            running.ask("GET", "/moto-api/data.json")
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until, "moto did not start"
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _OneStep:
    """moto looks whether there is an object, and writes it later; here nobody comes between."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("HTTP_IF_NONE_MATCH") != "*":
            return self._application(environ, start_response)
        with self._lock:
            return list(self._application(environ, start_response))


def main() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", int(sys.argv[1]), _OneStep(DomainDispatcherApplication(create_backend_app)), threaded=True)


if __name__ == "__main__":
    main()
