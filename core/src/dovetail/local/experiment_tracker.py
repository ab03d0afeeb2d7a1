"""What steps log, as lines of JSON in a folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from dovetail.components import ExperimentTracker, StepRun
from dovetail.values.encoding import Json
from dovetail.values.names import check_name


class LocalTracker(ExperimentTracker):
    """One file for each step run, `<pipeline>/<run id>/<invocation>.jsonl`; each line says what was logged and when.

    A line holds `time` (seconds since 1970) and `event`: started (`step`, `run`, `attempt`, …), params (`params`),
    metrics (`metrics`, `step`), tags (`tags`), file (`path`, below `<invocation>.files`), finished (`status`). A retry
    appends to the same file.
    """

    path: Path = field(
        default=Path(".dovetail/tracking"), metadata={"help": "The folder; a relative one starts at the project root."}
    )

    def __post_init__(self) -> None:
        self._file: Path | None = None

    def start(self, step_run: StepRun) -> None:
        self._file = self._file_of(step_run)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._append(
            "started",
            run=step_run.run_id,
            name=step_run.run_name,
            pipeline=step_run.pipeline,
            step=step_run.name,
            attempt=step_run.attempt,
            stack=step_run.stack,
            tags=list(step_run.tags),
            model=step_run.model,
            model_version=step_run.model_version,
        )

    def log_params(self, params: Mapping[str, Json]) -> None:
        self._append("params", params=dict(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._append("metrics", metrics=dict(metrics), step=step)

    def local_folders(self) -> Sequence[Path]:
        return (self.path,)

    def log_artifact(self, path: Path, folder: str) -> None:
        assert self._file is not None
        target = self._file.with_suffix(".files") / folder
        target.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)
        self._append("file", path=f"{folder}/{path.name}".lstrip("/"))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._append("tags", tags=dict(tags))

    def finish(self, step_run: StepRun) -> None:
        self._append("finished", status=step_run.status)

    def url(self, step_run: StepRun) -> str | None:
        return self._file_of(step_run).absolute().as_uri()

    def check(self) -> list[str]:
        try:
            Path(self.path).mkdir(parents=True, exist_ok=True)
            canary = Path(self.path) / ".canary"
            canary.write_bytes(b"")
            canary.unlink()
        except OSError as error:
            return [f"Experiment tracker '{self.name}' cannot write to {self.path}: {error.strerror}. Choose another `path`."]
        return []

    def _file_of(self, step_run: StepRun) -> Path:
        folders = check_name("pipeline", step_run.pipeline), check_name("run id", step_run.run_id)
        return Path(self.path).joinpath(*folders, f"{check_name('step', step_run.name)}.jsonl")

    def _append(self, event: str, **facts: Any) -> None:
        if self._file is None:
            raise RuntimeError("log_params and log_metrics come after start")
        line = json.dumps({"time": time.time(), "event": event, **facts}, ensure_ascii=False)
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(line + "\n")
