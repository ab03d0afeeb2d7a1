"""The components that the plugin declares."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from dovetail.components import ArtifactStore, Capability, Component, Entry, ExperimentTracker, Orchestrator, RunControl
from dovetail.components import Secret, SecretStore, StepRun
from dovetail.errors import NotFound
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.plan import Plan


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True)
class Limits:
    """A field's type that is none of the simple ones."""

    most: int
    least: int = 0


class AcmeTracker(ExperimentTracker):
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.REMOTE})

    project: str = field(metadata={"help": "Where the runs go."})
    api_key: Secret | None = field(default=None, metadata={"help": "The key."})
    tokens: list[Secret] = field(default_factory=list)
    workers: int = field(default=2, metadata={"help": "How many at once."})
    ratio: float = 0.5
    verbose: bool = False
    folder: Path | None = None
    cache: Path = Path(".acme/cache")
    tags: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    mode: Literal["fast", "safe"] = "safe"
    level: Level = Level.LOW
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if self.project == "hangs when made":
            time.sleep(30)
        if self.project == "forbidden":
            raise ValueError(f"no entry with {self.api_key.reveal() if self.api_key else None}")

    def start(self, step_run: StepRun) -> None: ...

    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None: ...

    def finish(self, step_run: StepRun) -> None: ...

    def check(self) -> list[str]:
        if self.project == "hangs":
            time.sleep(30)
        if self.project == "raises":
            raise OSError(f"no route with key {self.api_key.reveal() if self.api_key else ''}")
        return [f"Acme refuses the key {self.api_key.reveal()}."] if self.project == "refused" and self.api_key else []


class AcmeStore(ArtifactStore):
    """Says that it creates atomically, and overwrites; its own check is content."""

    atomic_create: ClassVar[str] = "promised"

    def __post_init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def create(self, path: str, data: bytes | Path) -> bool:
        self._held[path] = data if isinstance(data, bytes) else data.read_bytes()
        return True

    def read(self, path: str) -> bytes:
        return self._held[path]

    def overwrite(self, path: str, data: bytes) -> None:
        self._held[path] = data

    def scan(self, folder: str) -> Iterator[Entry]:
        yield from ()

    def delete(self, path: str) -> None:
        self._held.pop(path, None)

    def check(self) -> list[str]:
        return []


class NotAtomic(AcmeStore):
    atomic_create: ClassVar[str] = ""


class AcmeOrchestrator(Orchestrator):
    workers: int = 1

    def submit(self, plan: Plan, run: RunControl) -> None: ...


class Vault(SecretStore):
    """`token` opens it; `answers` are what it holds."""

    token: Secret | None = None

    def get(self, name: str) -> Mapping[str, Secret]:
        if name != "db":
            raise NotFound("secret", name, ["db"])
        return {"password": Secret("vaulted-" + (self.token.reveal() if self.token else "open"))}

    def put(self, name: str, values: Mapping[str, str]) -> None:
        raise PermissionError("read only")

    def names(self) -> Sequence[str]:
        return ["db"]

    def delete(self, name: str) -> None: ...


class Telescope(Component):
    component_type: ClassVar[str] = "telescope"

    aperture: int = 1


class Hubble(Telescope):
    pass


class ThingMaterializer(BaseMaterializer):
    def save(self, value: Any) -> None: ...

    def load(self, data_type: Any) -> Any: ...
