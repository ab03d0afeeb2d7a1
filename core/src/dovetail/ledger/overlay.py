"""One artifact store laid over another, which it only reads: what is written goes to the upper one alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dovetail.components.artifact_store import ArtifactStore, Entry


class OverlayStore(ArtifactStore):
    """`lower` is never changed, so whatever is done with this store can be thrown away with `upper`. Deleting hides nothing of `lower`."""

    upper: Any
    lower: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "atomic_create", self.upper.atomic_create)
        self.called(self.lower.name, self.lower.flavor)

    def create(self, path: str, data: bytes | Path) -> bool:
        if self.lower.stat(path) is not None:
            return False
        return bool(self.upper.create(path, data))

    def read(self, path: str) -> bytes:
        return bytes(self._holder(path).read(path))

    def overwrite(self, path: str, data: bytes) -> None:
        self.upper.overwrite(path, data)

    def scan(self, folder: str) -> Iterator[Entry]:
        above = {entry.name: entry for entry in self.upper.scan(folder)}
        yield from above.values()
        yield from (entry for entry in self.lower.scan(folder) if entry.name not in above)

    def delete(self, path: str) -> None:
        self.upper.delete(path)

    def stat(self, path: str) -> Entry | None:
        found: Entry | None = self._holder(path).stat(path)
        return found

    def fetch(self, path: str, target: Path) -> None:
        self._holder(path).fetch(path, target)

    def adopt(self, folder: Path, prefix: str) -> bool:
        if next(iter(self.lower.scan(prefix)), None) is not None:
            return False
        return bool(self.upper.adopt(folder, prefix))

    def local_folder(self, folder: str) -> Path | None:
        above: Path | None = self.upper.local_folder(folder)
        if above is not None and above.exists():
            return above
        found: Path | None = self.lower.local_folder(folder)
        return found

    def uri(self, path: str) -> str:
        return str(self.lower.uri(path))

    def staging_folder(self) -> Path | None:
        staging: Path | None = self.upper.staging_folder()
        return staging

    def now(self) -> float:
        return float(self.upper.now())

    def _holder(self, path: str) -> Any:
        return self.upper if self.upper.stat(path) is not None else self.lower
