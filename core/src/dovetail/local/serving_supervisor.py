"""Watches over a local deployment's workers: `python -m dovetail.local.serving_supervisor FOLDER LISTENER CONTROL`.

It owns the listening socket, so that an update finds it where it was: the new generation's workers are started beside the old ones,
and once all are ready they take the connections and the old ones let theirs go. A deployer asks for an update by writing
`generation-N.json` and sending SIGHUP, holding a lock on the file `updating` until it is told by `current`, and by `switched` once the old
workers take no more connections, or by `refused-N.json`; one
that lets go of the lock before has given up. CONTROL is the file number of a socket to the deploying process: this one's identity is
written there once the first generation serves, and all is ended if it closes before a byte has come.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.components.serving.children import Signals, adopt_orphans, end_with_parent, reap, say, signal_all
from dovetail.components.serving.folder import ServingFolder, in_words
from dovetail.values.encoding import Json
from dovetail.values.processes import process_identity

_POLL = 0.25  # seconds between two looks whether who asked for an update still waits, and how the old workers fare
_STOPPING = 0.02  # seconds between two looks whether all workers have ended
_SLACK = 1.0  # seconds that a worker has beyond its own patience, until it is killed
_HANDOVER = 2.0  # seconds in which old workers take no more connections
_LINGER = 5.0  # seconds that old workers leave idle connections open


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    control: socket.socket
    said: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, word: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended, which is noticed elsewhere
            self.control.sendall(word)

    def forget(self) -> None:
        self.control.close()
        self.process.returncode = 0  # it is waited for elsewhere

    def hear(self) -> bool:
        """What it said since, added to `said`; False when it says no more."""
        try:
            heard = self.control.recv(16)
        except OSError:
            heard = b""
        self.said += heard.decode()
        return bool(heard)


@dataclass
class Generation:
    """`going`: its workers were told to take connections. `timeout`: how long callers wait. `deadline`: when those that leave are killed."""

    number: int
    grace: float
    timeout: float
    workers: dict[int, Worker] = field(default_factory=dict)
    going: bool = False
    deadline: float = 0.0

    def all_said(self, word: str) -> bool:
        return all(word in worker.said for worker in self.workers.values())

    def tell(self, word: bytes) -> None:
        for worker in self.workers.values():
            worker.tell(word)


class Supervisor:
    def __init__(self, folder: ServingFolder, listener: socket.socket, control: socket.socket) -> None:
        self.folder, self.listener = folder, listener
        self.control: socket.socket | None = control
        self.signals = Signals(signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)
        self.current: Generation | None = None
        self.coming: Generation | None = None
        self.leaving: list[Generation] = []

    def run(self) -> None:
        adopt_orphans()
        self.coming = self._start(1)
        while True:
            self._wait()
            heard = self.signals.take()
            for pid, code in reap() or ():
                self._ended(pid, code)
            if signal.SIGTERM in heard:
                say("was told to stop")
                self._stop(0)
            if signal.SIGHUP in heard:
                self._look_for_update()
            self._go_on_with_coming()
            self._end_the_leaving()

    # -- listening to workers, the deployer and the clock --------------------------------------------------------------

    def _wait(self) -> None:
        talking = {worker.control: worker for worker in self._workers()}
        waited = [self.signals.reader, *talking, *([self.control] if self.control is not None else [])]
        busy = self.coming is not None or self.leaving
        ready, _, _ = select.select(waited, [], [], _POLL if busy else None)
        for each in ready:
            if each is self.control:
                self._hear_deployer()
            elif each in talking and not talking[each].hear():
                each.close()

    def _workers(self) -> Iterator[Worker]:
        for generation in self._generations():
            yield from (worker for worker in generation.workers.values() if worker.control.fileno() >= 0)

    def _generations(self) -> list[Generation]:
        return [generation for generation in (self.current, self.coming, *self.leaving) if generation is not None]

    def _hear_deployer(self) -> None:
        assert self.control is not None
        try:
            kept = self.control.recv(1) == b"k"
        except OSError:
            kept = False
        if not kept:
            say("ended, since what deployed it ended or gave up before it was healthy")
            self._kill(set(self._pids()), everything=True)
            os._exit(1)
        self.control.close()
        self.control = None

    # -- generations ---------------------------------------------------------------------------------------------------

    def _start(self, number: int) -> Generation:
        asked: dict[str, Any] = json.loads(self.folder.read(f"generation-{number}.json") or "{}")
        made = Generation(number, float(asked["serving"]["grace"]), float(asked["serving"]["timeout"]))
        for _ in range(int(asked["replicas"])):
            worker = self._worker([*asked["command"], str(self.folder.path), str(number)])
            made.workers[worker.pid] = worker
        return made

    def _worker(self, command: list[str]) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = [self.listener.fileno(), theirs.fileno()]
            process = subprocess.Popen(
                [*command, *map(str, inherited)],
                stdin=subprocess.DEVNULL,
                cwd=self.folder.path,
                pass_fds=inherited,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # this process has one thread
            )
        return Worker(process, ours)

    def _look_for_update(self) -> None:
        number = max((int(file.stem.partition("-")[2]) for file in self.folder.path.glob("generation-*.json")), default=0)
        begun = max((generation.number for generation in (self.current, self.coming) if generation is not None), default=0)
        if number <= begun or self.folder.read(f"refused-{number}.json") is not None:
            return
        if self.coming is not None:
            self._give_up(self.coming, "was given up by who asked for it")
        try:
            self.coming = self._start(number)
        except (OSError, ValueError, KeyError) as error:
            self._refuse(number, f"cannot be started: {error}")

    def _go_on_with_coming(self) -> None:
        coming = self.coming
        if coming is None:
            return
        if self.current is not None and self._nobody_waits():
            self._give_up(coming, "was given up by who asked for it")
        elif not coming.going and coming.all_said("r"):
            coming.going = True
            coming.tell(b"g")
        elif coming.going and coming.all_said("s"):
            self._switch(coming)

    def _nobody_waits(self) -> bool:
        try:
            with open(self.folder.path / "updating", "ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _switch(self, coming: Generation) -> None:
        try:
            self.folder.write("current", str(coming.number))
        except OSError as error:
            self._give_up(coming, f"could not be written down in {self.folder.path}: {error.strerror}")
            return
        old, self.current, self.coming = self.current, coming, None
        if old is not None:
            self._let_go(old)
            self._wait_until_left(old)
            with contextlib.suppress(OSError):
                self.folder.write("switched", str(coming.number))
        self.folder.forget_end()
        self.folder.note_workers([*self._identities()])
        if old is None:
            assert self.control is not None
            self.control.sendall(json.dumps(process_identity()).encode() + b"\n")

    def _wait_until_left(self, old: Generation) -> None:
        """Whoever is told of the update is to be answered by the new version alone."""
        until = time.monotonic() + _HANDOVER
        while not old.all_said("l") and (left := until - time.monotonic()) > 0:
            talking = {worker.control: worker for worker in old.workers.values() if worker.control.fileno() >= 0 and "l" not in worker.said}
            ready = select.select(talking, [], [], left)[0] if talking else []
            for each in ready:
                if not talking[each].hear():
                    each.close()
            if not talking:
                return

    def _identities(self) -> Iterator[dict[str, Json]]:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                yield process_identity(pid)

    def _pids(self) -> Iterator[int]:
        for generation in self._generations():
            yield from generation.workers

    def _let_go(self, generation: Generation) -> None:
        generation.tell(b"d")
        generation.deadline = time.monotonic() + _LINGER + max(generation.grace, generation.timeout) + _SLACK
        self.leaving.append(generation)

    def _give_up(self, coming: Generation, why: str) -> None:
        self.coming = None
        if coming.going:
            self._let_go(coming)  # it may be answering already
        else:
            self._kill(set(coming.workers), everything=False)
        self._refuse(coming.number, why)

    def _refuse(self, number: int, why: str) -> None:
        say(f"the update {why}; what served before serves on")
        with contextlib.suppress(OSError):
            self.folder.write(f"refused-{number}.json", json.dumps({"why": why}))

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _ended(self, pid: int, code: int) -> None:
        for generation in self._generations():
            if pid in generation.workers:
                generation.workers.pop(pid).forget()
                self._lost(generation, pid, code)

    def _lost(self, generation: Generation, pid: int, code: int) -> None:
        if generation is self.coming:
            say(f"process {pid} ended before it served: {in_words(code)}")
            if self.current is None:
                self.folder.note_end(pid, code)
                self._kill(set(self._pids()), everything=True)
                os._exit(1)
            self._give_up(generation, f"ended before it was healthy ({in_words(code)})")
        elif generation is self.current:
            self.folder.note_end(pid, code)
            say(f"process {pid}, which served, has ended: {in_words(code)}")
            if not generation.workers and self.coming is None:
                self._stop(1)  # nobody is to wait at a port where nobody answers

    def _end_the_leaving(self) -> None:
        for generation in list(self.leaving):
            if generation.workers and time.monotonic() > generation.deadline:
                signal_all(set(generation.workers), signal.SIGKILL, orphans=False)
            elif not generation.workers:
                self.leaving.remove(generation)
                self.folder.note_workers([*self._identities()])

    def _stop(self, code: int) -> None:
        """End every worker, each with the time that its requests under way have left, and then this process."""
        self.listener.close()
        groups = set(self._pids())
        for worker in self._workers():
            worker.tell(b"t")
        until = time.monotonic() + max([generation.grace for generation in self._generations()], default=0.0) + _SLACK / 2
        while groups and (found := reap()) is not None and time.monotonic() < until:
            groups -= {pid for pid, _ in found}
            time.sleep(_STOPPING if groups else 0)
        self._kill(groups, everything=True)
        os._exit(code)

    def _kill(self, groups: set[int], *, everything: bool) -> None:
        signal_all(groups, signal.SIGKILL, orphans=everything)
        until = time.monotonic() + _SLACK
        for generation in self._generations():
            for pid in groups & set(generation.workers):
                generation.workers.pop(pid).forget()
        while groups and (found := reap()) is not None and time.monotonic() < until:
            groups -= {pid for pid, _ in found}
            for pid, code in found:
                self._ended(pid, code)
            time.sleep(_STOPPING if groups else 0)


def main() -> None:
    folder, listener, control = sys.argv[1:]
    if os.fork():  # what deployed it need not wait for it to end
        os._exit(0)
    listening, deployer = socket.socket(fileno=int(listener)), socket.socket(fileno=int(control))
    for inherited in (listening, deployer):
        inherited.set_inheritable(False)
    try:
        Supervisor(ServingFolder(Path(folder)), listening, deployer).run()
    except OSError as error:
        say(f"the workers cannot be started: {error}")
        os._exit(1)


if __name__ == "__main__":
    main()
