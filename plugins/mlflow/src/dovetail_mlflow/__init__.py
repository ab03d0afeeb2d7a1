"""MLflow as experiment tracker, model registry and model deployer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.plugin import FlavorSpec, hookimpl

_REQUIRES = ("mlflow>=2.14,<4",)


@hookimpl
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("mlflow", "dovetail_mlflow.tracker:MlflowTracker", _REQUIRES, "Runs in MLflow, on a server or in the project.")]


@hookimpl
def dovetail_model_registries() -> Sequence[FlavorSpec]:
    return [FlavorSpec("mlflow", "dovetail_mlflow.model_registry:MlflowModelRegistry", _REQUIRES, "Registered models of MLflow.")]


@hookimpl
def dovetail_model_deployers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("mlflow", "dovetail_mlflow.model_deployer:MlflowModelDeployer", _REQUIRES, "`mlflow models serve` on this machine.")]


@hookimpl
def dovetail_run_finished(event: Mapping[str, Any]) -> None:
    """Ends the MLflow run that stands for the pipeline run, where a tracker of this process made one."""
    runs = sys.modules.get("dovetail_mlflow.runs")
    if runs is not None:
        runs.end(event["run"], event["status"])
