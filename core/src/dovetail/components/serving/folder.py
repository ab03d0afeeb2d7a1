"""A deployment's own folder: what its server and its callers, in whatever process, know of one another.

    token            what a caller must show; the one place where it is kept
    server.json      which deployment it is, and what it answers at
    command.json     what serves it
    processes.json   the process that watches over it, once it is healthy
    workers.json     the processes that it has started to serve
    ended.json       how one of those ended that nobody had told to
    log              what they printed
    stopped          there once it was stopped on purpose

Nobody but the user may read it, and nothing in it is believed that another user wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail.errors import DeploymentError
from dovetail.values.encoding import Json

_TAIL = 1 << 16  # bytes read at once, from the end of a log


@dataclass(frozen=True, slots=True)
class ServingFolder:
    path: Path

    @classmethod
    def create(cls, path: Path, about: Mapping[str, Json], token: str) -> ServingFolder:
        """`about`: `name`, `id`, `url` and whatever else its deployer wants to know of it later."""
        folder = cls(path)
        try:
            path.mkdir(mode=0o700, parents=True)
            folder.write("server.json", json.dumps(about, indent=1))
            folder.write("token", token)
            folder.write("log", "")
        except OSError as error:
            folder.remove()
            raise folder.unwritable(str(about["name"]), error) from error
        return folder

    def unwritable(self, name: str, error: OSError) -> DeploymentError:
        cure = "Make it writable, and see to it that there is room."
        return DeploymentError(f"Deployment '{name}' cannot keep its files in {self.path}: {error.strerror or error}. {cure}")

    def write(self, name: str, text: str) -> None:
        """Whole or not at all, and for the user's eyes only."""
        aside = self.path / f"{name}.{os.getpid()}.new"
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        aside.replace(self.path / name)

    def read(self, name: str) -> str | None:
        """None where there is no such file."""
        try:
            with open(self.path / name, encoding="utf-8") as file:
                owner = os.fstat(file.fileno()).st_uid
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DeploymentError(f"{self.path / name} cannot be read: {error}. Use the account that deployed it.") from error
        if owner not in (os.getuid(), 0):
            raise DeploymentError(f"{self.path} belongs to another user, so it is not believed. Use the account that deployed it.")
        return text

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            if self.path.is_dir():
                shutil.rmtree(self.path, ignore_errors=True)

    def about(self) -> dict[str, Any]:
        return dict(json.loads(self.read("server.json") or "{}"))

    def token(self) -> str:
        return (self.read("token") or "").strip()

    def command(self) -> list[str]:
        return list(json.loads(self.read("command.json") or "[]"))

    def commit(self, processes: Sequence[Mapping[str, Json]]) -> None:
        self.write("processes.json", json.dumps(processes))

    def processes(self) -> list[dict[str, Any]] | None:
        """The identity of what watches over it; None where this folder is not, as on another machine."""
        text = self.read("processes.json")
        return None if text is None else list(json.loads(text))

    def note_workers(self, workers: Sequence[Mapping[str, Json]]) -> None:
        with contextlib.suppress(OSError):  # a full disk ends no server
            self.write("workers.json", json.dumps(workers))

    def workers(self) -> list[dict[str, Any]]:
        return list(json.loads(self.read("workers.json") or "[]"))

    def note_end(self, pid: int, code: int) -> None:
        """`code`: as a Popen's returncode, below 0 for a signal."""
        with contextlib.suppress(OSError):
            self.write("ended.json", json.dumps({"pid": pid, "code": code, "at": time.time()}))

    def forget_end(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / "ended.json").unlink()

    def end(self) -> str | None:
        """How a server ended that was not told to, as `exit code 3` or `signal SIGKILL`; None where none has."""
        found = json.loads(self.read("ended.json") or "null")
        return None if found is None else in_words(found["code"])

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def stopped(self) -> bool:
        return (self.path / "stopped").exists()

    def mark_stopped(self) -> None:
        (self.path / "stopped").touch(mode=0o600)

    def logged(self) -> int:
        """Bytes in the log so far."""
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def tail(self, lines: int, since: int = 0) -> list[str]:
        """The log's last lines, read from its end back to byte `since`; none where there is no log."""
        if lines <= 0:
            return []
        try:
            with open(self.log, "rb") as file:
                position = file.seek(0, os.SEEK_END)
                read = b""
                while position > since and read.count(b"\n") <= lines:
                    step = min(_TAIL, position - since)
                    position = file.seek(position - step)
                    read = file.read(step) + read
        except FileNotFoundError:
            return []
        return read.decode("utf-8", "replace").splitlines()[-lines:]


def in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
