"""One W&B run per step run, grouped by pipeline run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from dovetail.components import ExperimentTracker, Secret, StepRun
from dovetail.errors import ConfigurationError
from dovetail.values.encoding import Json
from dovetail_wandb import artifacts, plain, server, session
from dovetail_wandb.files import keep
from dovetail_wandb.said import OWN, STATUS, STEP, about, labels

_PROJECT_CHARACTERS = 128
_WELL = ("completed", "cached")


class WandbTracker(ExperimentTracker):
    """Each step run is a W&B run: its group is the pipeline run, its job type the step, its config what was logged as parameters.

    A retry and a resumed upload go on in the same W&B run, since its id follows from run and step. What Dovetail says of the
    step run is in the config under `dovetail`. Metrics have the x axis `dovetail/step`, so that none is dropped when steps come
    out of order. In a step, `wandb.log` and its siblings reach the step's W&B run without `wandb.init`.
    """

    project: str | None = field(default=None, metadata={"help": "The W&B project; by default the pipeline's name."})
    entity: str | None = field(default=None, metadata={"help": "The team or user that owns it; by default the key's own."})
    api_key: Secret | None = field(
        default=None, metadata={"help": "The API key; without one, what WANDB_API_KEY or `wandb login` says on the machine that runs the step."}
    )
    mode: Literal["online", "offline", "disabled"] = field(
        default="online", metadata={"help": "online sends as the step runs; offline writes files for `wandb sync`; disabled does nothing."}
    )
    base_url: str | None = field(default=None, metadata={"help": "A W&B server of your own; by default W&B's cloud."})
    dir: Path = field(default=Path(".dovetail"), metadata={"help": "W&B writes into the folder `wandb` below it; a relative one starts at the project root."})
    tags: list[str] = field(default_factory=list, metadata={"help": "Labels of every W&B run."})
    mirror_artifacts: bool = field(
        default=True, metadata={"help": "Tell W&B which artifacts a step took and gave, as references: lineage, and no copy of the data."}
    )
    system_metrics: bool = field(default=True, metadata={"help": "Let W&B sample processor, memory and GPU while a step runs."})
    on_unreachable: Literal["fail", "continue"] = field(  # type: ignore[misc]  # a field in the place of the interface's name
        default="fail", metadata={"help": "What a run does while W&B cannot be reached: fail before its first step, or go on without."}
    )

    def __post_init__(self) -> None:
        self._run: Any = None
        self._step_run: StepRun | None = None
        self._tags: dict[str, str] = {}
        self._with_step: set[str] = set()

    @classmethod
    def attend(cls) -> None:
        plain.install()

    def check(self) -> list[str]:
        if self.mode != "online":
            return []
        problem = server.problem(self.base_url, self._key())
        return [f"Experiment tracker '{self.name}': {problem}"] if problem else []

    def prepare(self, run: Mapping[str, Json]) -> Json:
        if self.mode != "online":
            return None
        if self.on_unreachable == "continue" and (problems := self.check()):
            raise ConfigurationError(problems[0])
        return {"entity": self.entity or server.default_entity(self.base_url, self._key())}

    def start(self, step_run: StepRun) -> None:
        self._tags = {}
        self._run = self._open(step_run)
        self._step_run = step_run

    def log_params(self, params: Mapping[str, Json]) -> None:
        if params:
            self.run.config.update(dict(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        if step is None:
            self.run.log(dict(metrics))
            return
        for name in set(metrics) - self._with_step:
            self._with_step.add(name)
            if "*" not in name:  # which stands for all names there
                self.run.define_metric(name, step_metric=STEP, step_sync=False)
        self.run.log({**metrics, STEP: step})

    def log_artifact(self, path: Path, folder: str) -> None:
        keep(self.run, path, folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        assert self._step_run is not None
        self._tags.update(tags)
        self.run.tags = labels(self.tags, self._step_run, self._tags)
        self._say(self._step_run)

    def finish(self, step_run: StepRun) -> None:
        run = self.run
        try:
            run.summary[STATUS] = step_run.status
            if self.mirror_artifacts and self.mode != "disabled":
                artifacts.mirror(run, step_run)
        finally:
            run.finish(exit_code=0 if step_run.status in _WELL else 1)
            self._run = self._step_run = None

    def url(self, step_run: StepRun) -> str | None:
        if self.mode == "disabled":
            return None
        if self.mode == "offline":
            return (Path(self.dir) / "wandb").absolute().as_uri()
        prepared = step_run.prepared if isinstance(step_run.prepared, dict) else {}
        entity = self.entity or prepared.get("entity")
        if not entity:
            return str(self._run.url) if self._run is not None else None
        return f"{server.app_url(self.base_url)}/{entity}/{self._project(step_run)}/runs/{run_id(step_run)}"

    @property
    def is_open(self) -> bool:
        return self._step_run is not None

    @property
    def run(self) -> Any:
        """The W&B run of the open step run; opened again if the step's own code has finished it."""
        if self._step_run is None:
            raise RuntimeError("start comes first")
        if self._run is None or getattr(self._run, "_is_finished", False):
            self._with_step.clear()
            said = self._run.tags if self._run is not None else ()
            self._run = self._open(self._step_run)
            self._run.tags = tuple(dict.fromkeys((*(self._run.tags or ()), *(said or ()))))
        return self._run

    def _open(self, step_run: StepRun) -> Any:
        online = self.mode == "online"
        settings = {
            "project": self._project(step_run), "entity": self.entity, "mode": self.mode, "base_url": self.base_url,
            "api_key": self._key() if online else None, "root_dir": self._made_dir(), "run_id": run_id(step_run),
            "run_group": step_run.run_id, "run_job_type": step_run.step, "run_name": step_run.name,
            "run_tags": labels(self.tags, step_run, self._tags), "resume": "allow" if online else None,
            "x_disable_stats": not self.system_metrics,
        }  # fmt: skip
        return session.open_run(settings, {OWN: about(step_run, self._tags)})

    def _say(self, step_run: StepRun) -> None:
        self.run.config.update({OWN: about(step_run, self._tags)}, allow_val_change=True)

    def _project(self, step_run: StepRun) -> str:
        if self.project is not None:
            return self.project
        return step_run.pipeline[:_PROJECT_CHARACTERS]

    def _made_dir(self) -> str:
        folder = Path(self.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _key(self) -> str | None:
        return self.api_key.reveal() if self.api_key is not None else server.key_of_this_machine(self.base_url)


def run_id(step_run: StepRun) -> str:
    """The same for every attempt at a step run, and no other's."""
    return hashlib.sha256(f"{step_run.run_id}/{step_run.name}".encode()).hexdigest()[:16]
