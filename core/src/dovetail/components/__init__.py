"""The interfaces that plugins implement, one per file. `from dovetail.components import ExperimentTracker`."""

from __future__ import annotations

from dovetail.components.artifact_store import ArtifactStore, Entry
from dovetail.components.component import Capability, Component, Secret
from dovetail.components.experiment_tracker import ExperimentTracker
from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.components.orchestrator import Orchestrator, RunControl, Task
from dovetail.components.secret_store import SecretStore
from dovetail.values.context import StepRun

__all__ = [
    "ArtifactStore",
    "Capability",
    "Component",
    "Deployment",
    "DeploymentStatus",
    "Entry",
    "ExperimentTracker",
    "ModelDeployer",
    "Orchestrator",
    "RunControl",
    "Secret",
    "SecretStore",
    "StepRun",
    "Task",
]
