"""Watches over a server that is somebody else's program: `python -m dovetail.components.serving.keeper FOLDER CONTROL`.

It starts the command that the folder names, in a group of its own, ends what that leaves behind, and writes down how it ended
if nobody had told it to. CONTROL is the file number of a socket to the deploying process: this one's identity is written there, and
all is ended if it closes before a byte has come.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from dovetail.components.serving.children import Signals, adopt_orphans, end_with_parent, reap, say, signal_all
from dovetail.components.serving.folder import ServingFolder, in_words
from dovetail.values.processes import process_identity

_POLL = 0.05  # seconds
_KILLED = 5.0  # seconds in which a killed process is gone


class Keeper:
    def __init__(self, folder: ServingFolder, control: socket.socket) -> None:
        self.folder = folder
        self.control: socket.socket | None = control
        self.grace = float(folder.about()["grace"])
        self.signals = Signals(signal.SIGTERM, signal.SIGCHLD)
        self.server = 0

    def run(self) -> None:
        adopt_orphans()
        process = subprocess.Popen(
            self.folder.command(),
            stdin=subprocess.DEVNULL,
            cwd=self.folder.path,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  # this process has one thread
        )
        self.server = process.pid
        self.folder.note_workers([process_identity(process.pid)])
        if self.control is not None:
            self.control.sendall(json.dumps(process_identity()).encode() + b"\n")
        while True:
            waited = [self.signals.reader, *([self.control] if self.control is not None else [])]
            ready, _, _ = select.select(waited, [], [])
            if self.control in ready and not self._kept():
                say("ended, since what deployed it ended or gave up before it was healthy")
                self._end(0.0, 1)
            if signal.SIGTERM in self.signals.take():
                say("was told to stop")
                self._end(self.grace, 0)
            for pid, code in reap() or ():
                if pid == self.server:
                    self._end_of_server(code)

    def _kept(self) -> bool:
        assert self.control is not None
        with self.control:
            try:
                kept = self.control.recv(1) == b"k"
            except OSError:
                kept = False
        self.control = None
        return kept

    def _end_of_server(self, code: int) -> None:
        self.folder.note_end(self.server, code)
        say(f"process {self.server}, which served, has ended: {in_words(code)}")
        self._end(self.grace, 1)

    def _end(self, grace: float, code: int) -> None:
        """End every process that serves, and then this one."""
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED)):
            signal_all({self.server}, number)
            deadline = time.monotonic() + seconds
            while reap() is not None:
                if time.monotonic() >= deadline:
                    break
                time.sleep(_POLL)
            else:
                break
        os._exit(code)


def main() -> None:
    folder, control = sys.argv[1:]
    if os.fork():  # what deployed it need not wait for it to end
        os._exit(0)
    socket_ = socket.socket(fileno=int(control))
    socket_.set_inheritable(False)
    try:
        Keeper(ServingFolder(Path(folder)), socket_).run()
    except OSError as error:
        say(f"the server cannot be started: {error}")
        os._exit(1)


if __name__ == "__main__":
    main()
