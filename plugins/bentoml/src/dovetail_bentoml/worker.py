"""One worker of BentoML's server: `python -m dovetail_bentoml.worker BENTO FOLDER GENERATION LISTENER CONTROL`.

It is the program that `bentoml serve` starts for each of its workers, on a socket that others listen at too, and with the supervisor of
the local deployer above it: `dovetail.local.serving_worker` says what they tell each other by CONTROL. BENTO is a Bento's folder, or one
with the service alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import uvicorn

from dovetail.components.serving.children import say
from dovetail.local.serving import Serving
from dovetail_bentoml.building import SERVICE
from dovetail_bentoml.served import GENERATION_VARIABLE

_ACCEPTED = 0.1  # seconds in which a connection that was accepted is known to the server
_KEPT_ALIVE = 5  # seconds after which BentoML closes a connection on which nothing more is asked
_CLOSE = (b"connection", b"close")


class LeavingServer(uvicorn.Server):
    """Loads, and takes connections when it is told to. Before it leaves it asks who holds a connection to make another."""

    supervisor: ClassVar[socket.socket]
    _linger = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        load = self.lifespan.startup
        self.lifespan.startup = lambda: self._load(load())  # between loading and listening there is no other place
        await super().startup(sockets=sockets)
        say(f"process {os.getpid()} serves")
        self.supervisor.sendall(b"s")
        self.supervisor.setblocking(False)
        asyncio.get_running_loop().add_reader(self.supervisor, self._hear)

    async def _load(self, loading: object) -> None:
        await loading  # type: ignore[misc]  # a coroutine
        if not self.lifespan.should_exit:
            self.supervisor.sendall(b"r")
            if await asyncio.to_thread(self.supervisor.recv, 1) != b"g":
                os._exit(1)

    def _hear(self) -> None:
        try:
            word = self.supervisor.recv(1)
        except OSError:
            word = b""
        self._linger = _KEPT_ALIVE if word == b"d" else 0.0
        for server in self.servers:
            server.close()  # at once: uvicorn looks at what comes next ten times a second, and whoever asks by then wants the new version
        with contextlib.suppress(OSError):  # the supervisor has gone
            self.supervisor.sendall(b"l")
        self.should_exit = True
        asyncio.get_running_loop().remove_reader(self.supervisor)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        until = time.monotonic() + self._linger
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        if self._linger:
            await asyncio.sleep(_ACCEPTED)
        while self.server_state.connections and time.monotonic() < until:  # noqa: ASYNC110  # uvicorn tells of them in no other way
            await asyncio.sleep(0.01)
        await super().shutdown(sockets=sockets)


def main(arguments: Sequence[str]) -> None:
    bento, folder, generation, listener, control = arguments
    supervisor = socket.socket(fileno=int(control))
    supervisor.set_inheritable(False)
    file = Path(folder) / f"generation-{generation}.json"
    grace = Serving.from_json(json.loads(file.read_text(encoding="utf-8"))["serving"]).grace
    metrics = Path(folder) / f"metrics-{generation}"
    metrics.mkdir(exist_ok=True)
    os.environ |= {GENERATION_VARIABLE: str(file), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    if not (Path(bento) / "bento.yaml").is_file():
        os.chdir(bento)
        bento = SERVICE
    LeavingServer.supervisor = supervisor
    uvicorn.Server = LeavingServer  # type: ignore[misc]  # by this name BentoML makes the server
    _serve(bento, listener, max(1, round(grace)))


def _serve(bento: str, listener: str, grace: int) -> None:
    from _bentoml_impl.worker.service import main as bentoml_worker  # type: ignore[import-untyped]

    command = [bento, "--fd", listener, "--worker-id", "1", "--timeout-keep-alive", str(_KEPT_ALIVE), "--timeout-graceful-shutdown", str(grace)]
    try:
        bentoml_worker(command)
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else int(ended.code is not None))  # threads of the model's library do not keep it


if __name__ == "__main__":
    main(sys.argv[1:])
