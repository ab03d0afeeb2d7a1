"""A deployment's own folder: what its server and its callers, in whatever process, know of one another.

    token            what a caller must show; the one place where it is kept
    server.json      what the server was told to serve
    processes.json   the serving processes, once all are healthy
    log              what they printed
    stopped          there once it was stopped on purpose

Nobody but the user may read it, and nothing in it is believed that another user wrote.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.errors import DeploymentError
from dovetail.values.encoding import Json

_TAIL = 1 << 16  # bytes read at once, from the end of a log


@dataclass(frozen=True, slots=True)
class Serving:
    """What a server needs to know. `path`: import folders beyond its own; `timeout`, `grace`: seconds."""

    id: str
    name: str
    url: str
    model: str
    materializer: str
    type: str
    trusted: bool
    require_token: bool
    timeout: float
    grace: float
    max_request_bytes: int
    materializers: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, "path": list(self.path)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Serving:
        return cls(**{**record, "path": tuple(record["path"])})


@dataclass(frozen=True, slots=True)
class ServingFolder:
    path: Path

    @classmethod
    def create(cls, path: Path, serving: Serving, token: str) -> ServingFolder:
        folder = cls(path)
        try:
            path.mkdir(mode=0o700, parents=True)
            folder._write("server.json", json.dumps(serving.to_json(), indent=1))
            folder._write("token", token)
            folder._write("log", "")
        except OSError as error:
            raise DeploymentError(
                f"Deployment '{serving.name}' cannot keep its files in {path}: {error}. Make it writable."
            ) from error
        return folder

    def _write(self, name: str, text: str) -> None:
        aside = self.path / f"{name}.new"
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        aside.replace(self.path / name)

    def _read(self, name: str) -> str | None:
        try:
            with open(self.path / name, encoding="utf-8") as file:
                owner = os.fstat(file.fileno()).st_uid
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DeploymentError(f"{self.path / name} cannot be read: {error}. Use the account that deployed it.") from error
        if owner not in (os.getuid(), 0):
            raise DeploymentError(
                f"{self.path} belongs to another user, so it is not believed. Use the account that deployed it."
            )
        return text

    def serving(self) -> Serving:
        return Serving.from_json(json.loads(self._read("server.json") or "{}"))

    def token(self) -> str:
        return (self._read("token") or "").strip()

    def commit(self, processes: list[dict[str, Json]]) -> None:
        self._write("processes.json", json.dumps(processes))

    def processes(self) -> list[dict[str, Any]] | None:
        """The identities of the serving processes; None where this folder is not, as on another machine."""
        text = self._read("processes.json")
        return None if text is None else list(json.loads(text))

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def stopped(self) -> bool:
        return (self.path / "stopped").exists()

    def mark_stopped(self) -> None:
        (self.path / "stopped").touch(mode=0o600)

    def tail(self, lines: int) -> list[str]:
        """The log's last lines, read from its end; none where there is no log."""
        if lines <= 0:
            return []
        try:
            with open(self.log, "rb") as file:
                position = file.seek(0, os.SEEK_END)
                read = b""
                while position > 0 and read.count(b"\n") <= lines:
                    step = min(_TAIL, position)
                    position = file.seek(position - step)
                    read = file.read(step) + read
        except FileNotFoundError:
            return []
        return read.decode("utf-8", "replace").splitlines()[-lines:]
