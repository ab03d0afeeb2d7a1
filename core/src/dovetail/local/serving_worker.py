"""One server process of a local deployment: `python -m dovetail.local.serving_worker FOLDER GENERATION LISTENER CONTROL`.

LISTENER is the file number of the listening socket, CONTROL that of a socket to the supervisor. Each says one byte at a time: the
worker when its model is loaded (`r`), when it takes connections (`s`) and when it takes no more (`l`); the supervisor to take them (`g`), to let those go that there
are (`d`) and to stop (`t`). A supervisor that has ended means `t` too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.components.serving.children import say
from dovetail.components.serving.folder import ServingFolder
from dovetail.errors import DovetailError
from dovetail.local.serving import Serving, load_model

if TYPE_CHECKING:
    from dovetail.local.serving_connections import Connections

_LINGER = 5.0  # seconds that idle connections are left open after an update


def main() -> None:
    folder, generation, listener, control = sys.argv[1:]
    listening, supervisor = socket.socket(fileno=int(listener)), socket.socket(fileno=int(control))
    for inherited in (listening, supervisor):
        inherited.set_inheritable(False)
    own = ServingFolder(Path(folder))
    serving = Serving.from_json(json.loads(own.read(f"generation-{generation}.json") or "{}")["serving"])
    connections = _prepared(serving, own.token())
    supervisor.sendall(b"r")
    if supervisor.recv(1) != b"g":
        os._exit(1)
    sys.setswitchinterval(0.001)  # seconds; the model's threads leave the interpreter to the one that reads and writes
    _loop().run_until_complete(_serve(serving, connections, listening, supervisor))
    os._exit(0)  # threads of the model's library do not keep it


def _prepared(serving: Serving, token: str) -> Connections:
    try:
        from dovetail.local.serving_connections import Connections
        from dovetail.local.serving_endpoint import Endpoint

        made = Connections(serving.timeout)
    except ImportError as error:
        say(f'{error}: the built-in model deployer serves by uvicorn. Install it: pip install "dovetail[serve]"')
        os._exit(1)
    try:
        made.endpoint = Endpoint(serving, token, load_model(serving))
    except DovetailError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        say(str(error))
        os._exit(1)
    return made


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made


async def _serve(serving: Serving, connections: Connections, listener: socket.socket, supervisor: socket.socket) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what is no HTTP is answered, and not logged
    loop = asyncio.get_running_loop()
    told: asyncio.Future[bytes] = loop.create_future()
    supervisor.setblocking(False)
    loop.add_signal_handler(signal.SIGTERM, _tell, told, b"t")
    loop.add_reader(supervisor, lambda: _tell(told, _read(supervisor)))
    listener.setblocking(False)
    await connections.accept(listener)
    say(f"process {os.getpid()} serves {serving.name!r} at {serving.url}")
    supervisor.sendall(b"s")
    word = await told
    loop.remove_reader(supervisor)
    connections.refuse()
    with contextlib.suppress(OSError):  # the supervisor has gone
        supervisor.sendall(b"l")
    updated = word == b"d"  # then nothing hurries, and whoever asked is answered for as long as they wait
    idle = await connections.close(_LINGER if updated else 0.0, max(serving.grace, serving.timeout) if updated else serving.grace)
    said = "gave way to an update" if word == b"d" else "was told to stop"
    say(f"process {os.getpid()} {said}" + ("" if idle else "; a request that it was answering is lost"))


def _read(supervisor: socket.socket) -> bytes:
    try:
        return supervisor.recv(1)
    except BlockingIOError:
        return b"?"
    except OSError:
        return b""


def _tell(told: asyncio.Future[bytes], word: bytes) -> None:
    if not told.done() and word != b"?":
        told.set_result(word)


if __name__ == "__main__":
    main()
