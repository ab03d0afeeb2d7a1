"""Mirrors what steps log to an experiment tracking tool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from dovetail.components.component import Component
from dovetail.values.context import StepRun
from dovetail.values.encoding import Json


class ExperimentTracker(Component):
    """One instance per step run: `start`, then any number of `log_…`, then `finish`, also after a failure.

    The record keeps everything that is logged; a tracker is a mirror, so an error in it never fails a step.
    """

    component_type: ClassVar[str] = "experiment_tracker"

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

    def url(self, step_run: StepRun) -> str | None:
        """Where a person sees this step run."""
        return None
