"""Components that deliver nothing and remember what they were told, for users' own tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dovetail.components.alerter import Alert, Alerter
from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import DeploymentError
from dovetail.values.context import StepRun
from dovetail.values.encoding import Json


@dataclass
class Tracked:
    """What a tracker was told of one step run. `metrics`: (value, step) in the order of logging, by name; `files`: by path."""

    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, list[tuple[float, int | None]]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    status: str | None = None


class FakeTracker(ExperimentTracker):
    """`told`: what it was told of each step, by the step's name, the newest run's."""

    on_unreachable: Literal["fail", "continue"] = field(default="continue", metadata={"help": "What a run does without it."})  # type: ignore[misc]  # a field in the place of the interface's name
    told: dict[str, Tracked] = field(default_factory=dict, metadata={"help": "Where it remembers."})

    def __post_init__(self) -> None:
        self._open = Tracked()

    def start(self, step_run: StepRun) -> None:
        self._open = self.told[step_run.name] = self.told.get(step_run.name, Tracked()) if step_run.attempt > 1 else Tracked()

    def log_params(self, params: Mapping[str, Json]) -> None:
        self._open.params.update(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        for name, value in metrics.items():
            self._open.metrics.setdefault(name, []).append((value, step))

    def log_artifact(self, path: Path, folder: str) -> None:
        files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        for file in files:
            below = file.relative_to(path if path.is_dir() else path.parent).as_posix()
            self._open.files[f"{folder}/{below}".lstrip("/")] = file.read_bytes()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._open.tags.update(tags)

    def finish(self, step_run: StepRun) -> None:
        self._open.status = step_run.status


class FakeDeployer(ModelDeployer):
    """`deployed`: every deployment that was asked for. `answer`: the answer to every request, or a function of the data.

    Without an answer, the data itself is answered. `model(name)` gives a copy of the folder of what would be served.
    """

    deployed: list[Deployment] = field(default_factory=list, metadata={"help": "Where it remembers."})
    stopped: set[str] = field(default_factory=set, metadata={"help": "Handles that were stopped."})
    answer: Callable[[Any], Any] | Any = field(default=None, metadata={"help": "What it answers."})

    def start(self, deployment: Deployment) -> dict[str, Json]:
        kept = deployment.folder / "model"
        shutil.copytree(deployment.model, kept, dirs_exist_ok=True)
        self.deployed.append(deployment)
        return {"url": f"fake://{deployment.name}/{len(self.deployed)}"}

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        return DeploymentStatus.STOPPED if handle["url"] in self.stopped else DeploymentStatus.RUNNING

    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        if handle["url"] in self.stopped:
            raise DeploymentError(f"{handle['url']} was stopped.")
        if callable(self.answer):
            return self.answer(data)
        return data if self.answer is None else self.answer

    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        return []

    def stop(self, handle: Mapping[str, Any]) -> None:
        self.stopped.add(handle["url"])


class FakeAlerter(Alerter):
    """`sent`: every alert, in order."""

    sent: list[Alert] = field(default_factory=list, metadata={"help": "Where it remembers."})

    def send(self, alert: Alert) -> None:
        self.sent.append(alert)
