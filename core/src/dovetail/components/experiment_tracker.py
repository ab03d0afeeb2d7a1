"""Mirrors what steps log to an experiment tracking tool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from dovetail.components.component import Component
from dovetail.values.context import StepRun
from dovetail.values.encoding import Json


class ExperimentTracker(Component):
    """One instance per step run: `start`, then any number of `log_…`, then `finish`, also after a failure.

    The record keeps everything that is logged; a tracker is a mirror, so an error in it never fails a step. One that is
    reached over a network has a field `on_unreachable`, "fail" or "continue": with "fail", what its `check` finds is found
    before a run whose steps will run; with "continue" the run goes on without it, and the record says so.
    `libraries`: distributions whose own calls in a step (`mlflow.log_metric(…)`) go to its step run; a step whose code
    imports one of them has the tracker open from its start, as with `experiment_tracker=True`.
    """

    component_type: ClassVar[str] = "experiment_tracker"
    on_unreachable: ClassVar[str]
    libraries: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def attend(cls) -> None:
        """Called in a process before it runs a step of a stack with this tracker, each time; the tool is not imported for it.

        Where the tool's own calls in a step are to reach the step run, prepare for them here: `get_step_context().tracker`
        opens the tracker of the step that calls, and is None where there is none.
        """

    @abstractmethod
    def start(self, step_run: StepRun) -> None:
        """Open, or on a retry re-open, what this step run is called in the tool."""

    @abstractmethod
    def log_params(self, params: Mapping[str, Json]) -> None: ...

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None: ...

    @abstractmethod
    def finish(self, step_run: StepRun) -> None:
        """Close it; `step_run.status` says how the step ended: completed, cached or failed."""

    def log_artifact(self, path: Path, folder: str) -> None:
        """Keep a copy of the file, or of all in the folder, at `path` under `folder`, "" being the top. One that cannot leaves this out."""
        raise NotImplementedError(f"The experiment tracker flavor '{self.flavor}' keeps no files.")

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Say these of the step run, in place of what was said under the same names. A tool that cannot leaves this out."""
        raise NotImplementedError(f"The experiment tracker flavor '{self.flavor}' keeps no tags.")

    def stand_in(self, step_run: StepRun) -> bool:
        """In place of `start`, where the tool cannot be reached: catch what the step says to the tool by the tool's own calls.

        Whether there is anything to `finish`; nothing is logged to it in between.
        """
        return False

    def aside(self, folder: Path) -> ExperimentTracker | None:
        """One like this that tells nobody and keeps all in a folder that is removed at the end, for a step that is replayed.

        What the step says to the tool by the tool's own calls goes there. None where there is nothing to keep, or `attend` sees to it.
        """
        return None

    def url(self, step_run: StepRun) -> str | None:
        """Where a person sees this step run."""
        return None
