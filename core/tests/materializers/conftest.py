from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dovetail.digest import of_file
from dovetail.materializers.builtin import SPECS
from dovetail.materializers.finder import Materializers, Saved
from dovetail.values.imports import RecordedTypes
from dovetail.values.project import Project

HERE = Path(__file__).parent


class Shelf:
    """Saves values into numbered folders, as a store would, and loads them from there."""

    def __init__(self, root: Path) -> None:
        self.materializers = Materializers(SPECS, RecordedTypes(Project(HERE, HERE, marked=True)))
        self.root = root
        self.count = 0

    def save(self, value: Any) -> tuple[Path, Saved]:
        self.count += 1
        folder = self.root / str(self.count)
        folder.mkdir()
        return folder, self.materializers.save(value, str(folder))

    def load(self, folder: Path, saved: Saved, **options: Any) -> Any:
        before = self.files(folder)
        loaded = self.materializers.load(str(folder), saved.materializer, saved.type, format_version=saved.format, **options)
        assert self.files(folder) == before, "loading changed the payload"
        return loaded

    def round_trip(self, value: Any, *, trusted: bool = True) -> Any:
        folder, saved = self.save(value)
        for file in folder.rglob("*"):
            if file.is_file():
                file.chmod(0o444)
        return self.load(folder, saved, trusted=trusted)

    def files(self, folder: Path) -> dict[str, str]:
        return {file.relative_to(folder).as_posix(): of_file(file) for file in sorted(folder.rglob("*")) if file.is_file()}

    def content(self, value: Any) -> dict[str, str]:
        """What the digest is taken of: every file's path and hash."""
        folder, _ = self.save(value)
        return self.files(folder)

    def clear(self) -> None:
        for folder in self.root.iterdir():
            shutil.rmtree(folder)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    root = tmp_path / "shelf"
    root.mkdir()
    yield Shelf(root)
