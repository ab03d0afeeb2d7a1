"""Files kept with a W&B run."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = "files"  # W&B's own files (config.yaml, requirements.txt, …) lie beside it, and no file of a step can take their places


def keep(run: Any, path: Path, folder: str) -> None:
    """Copy the file, or all in the folder, into the W&B run's own folder, from where W&B sends it."""
    if run.disabled:
        return
    root = Path(run.dir)
    for file, below in _files(path):
        target = root / FOLDER / folder / below
        if not target.resolve().is_relative_to((root / FOLDER).resolve()):
            raise ValueError(f"The folder {folder!r} leads out of the W&B run. Give one without '..'.")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        run.save(glob.escape(str(target)), base_path=str(root), policy="now")


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    if not path.is_dir():
        yield path, path.name
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file, file.relative_to(path).as_posix()
