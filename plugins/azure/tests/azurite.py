"""Azurite, the storage service that Azure's developers try things on, as a process of its own.

It is a program of npm's: `npm install --prefix $(python -c 'import sys; print(sys.prefix)')/npm azurite`, which tasks.py does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from dovetail_azure.signing import SharedKey

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # the one that all emulators have
_STARTUP = 60.0


@dataclass(frozen=True)
class Azurite:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"


def program() -> str | None:
    own = Path(sys.prefix) / "npm" / "node_modules" / ".bin"
    return shutil.which("azurite-blob", path=str(own)) or shutil.which("azurite-blob")


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Runs until the block ends; a container `trial` is there."""
    found = program()
    assert found is not None
    running = Azurite(free_port())
    command = [found, "--blobHost", "127.0.0.1", "--blobPort", str(running.port), "--location", str(folder)]
    options = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(running, process)
        make_container(running, "trial")
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def make_container(running: Azurite, name: str) -> None:
    import requests

    answer = requests.put(
        f"{running.url}/{name}?restype=container", auth=SharedKey(ACCOUNT, KEY), headers={"x-ms-version": "2023-11-03"}, timeout=10
    )
    assert answer.status_code == 201, answer.text


def signature(rights: str = "rwdlac", seconds: float = 3600.0) -> str:
    """A shared access signature of the account, as `az storage account generate-sas` gives it."""
    until, version = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds)), "2021-12-02"
    told = "\n".join([ACCOUNT, rights, "b", "sco", "", until, "", "https,http", version, "", ""])
    digest = hmac.new(base64.b64decode(KEY), told.encode(), hashlib.sha256).digest()
    fields = {"sv": version, "ss": "b", "srt": "sco", "sp": rights, "se": until, "spr": "https,http", "sig": base64.b64encode(digest).decode()}
    return urlencode(fields)


def _wait(running: Azurite, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTUP
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=2)
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until, "azurite did not start"
            time.sleep(0.05)
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
