"""Files that MLflow logs in a routed step: copied for reads in the step, and kept with the step by Dovetail."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from dovetail_mlflow.routing_step import RoutedRun, model_called, run_called


def address_of_run(run_id: str) -> str:
    return f"dovetail://step/runs/{run_id}"


def address_of_model(model_id: str) -> str:
    return f"dovetail://step/models/{model_id}"


class RoutedArtifacts(ArtifactRepository):
    """Addresses are `dovetail://step/runs/<run id>` and `dovetail://step/models/<model id>`, and paths below them."""

    def __init__(self, artifact_uri: str) -> None:
        super().__init__(artifact_uri)
        kind, _, rest = unquote(urlsplit(artifact_uri).path).lstrip("/").partition("/")
        self._id, _, self._below = rest.partition("/")
        self._of_model = kind == "models"

    def _run(self) -> RoutedRun:
        return run_called(model_called(self._id).source_run_id if self._of_model else self._id)

    def _place(self, path: str | None) -> Path:
        """Where the copy of what is logged under a path lies."""
        root = self._run().folder / ("models" if self._of_model else "artifacts") / (self._id if self._of_model else "")
        place = root.joinpath(self._below, path or "")
        if not place.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"The artifact path {path!r} leads out of the run. Give one without '..'.")
        return place

    def _folder(self, path: str | None) -> str:
        """The folder under which Dovetail keeps it."""
        run = self._run()
        parts = [run.prefix.strip("/"), model_called(self._id).name if self._of_model else "", self._below, path or ""]
        return "/".join(part.strip("/") for part in parts if part)

    def log_artifact(self, local_file: Any, artifact_path: str | None = None) -> None:
        target = self._place(artifact_path)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(local_file, target)
        self._keep(target / Path(local_file).name, self._folder(artifact_path))

    def log_artifacts(self, local_dir: Any, artifact_path: str | None = None) -> None:
        target, folder = self._place(artifact_path), self._folder(artifact_path)
        shutil.copytree(local_dir, target, dirs_exist_ok=True)
        if folder:
            self._keep(Path(local_dir), folder)
            return
        for each in sorted(Path(local_dir).iterdir()):
            self._keep(each, each.name if each.is_dir() else "")

    def _keep(self, place: Path, folder: str) -> None:
        self._run().step.context.log_file(place, folder)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        place, root = self._place(path), self._place(None)
        if not place.is_dir():
            return []
        found = sorted(place.iterdir())
        return [FileInfo(each.relative_to(root).as_posix(), each.is_dir(), None if each.is_dir() else each.stat().st_size) for each in found]

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        shutil.copy(self._place(remote_file_path), local_path)
