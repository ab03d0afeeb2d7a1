"""The interfaces that plugins implement, one per file. `from dovetail.components import ExperimentTracker`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.components.alerter import Alert as Alert
    from dovetail.components.alerter import Alerter as Alerter
    from dovetail.components.alerter import Level as Level
    from dovetail.components.artifact_store import ArtifactStore as ArtifactStore
    from dovetail.components.artifact_store import Entry as Entry
    from dovetail.components.component import Capability as Capability
    from dovetail.components.component import Component as Component
    from dovetail.components.component import Secret as Secret
    from dovetail.components.container_registry import ContainerRegistry as ContainerRegistry
    from dovetail.components.container_registry import Credentials as Credentials
    from dovetail.components.data_validator import DataValidator as DataValidator
    from dovetail.components.data_validator import Examined as Examined
    from dovetail.components.experiment_tracker import ExperimentTracker as ExperimentTracker
    from dovetail.components.image_builder import ImageBuilder as ImageBuilder
    from dovetail.components.job import Job as Job
    from dovetail.components.job import JobGraph as JobGraph
    from dovetail.components.job import RunningJob as RunningJob
    from dovetail.components.model_deployer import Deployment as Deployment
    from dovetail.components.model_deployer import DeploymentStatus as DeploymentStatus
    from dovetail.components.model_deployer import ModelDeployer as ModelDeployer
    from dovetail.components.model_registry import ModelRegistry as ModelRegistry
    from dovetail.components.model_registry import RegistryEntry as RegistryEntry
    from dovetail.components.object_store import ObjectStore as ObjectStore
    from dovetail.components.orchestrator import GraphOrchestrator as GraphOrchestrator
    from dovetail.components.orchestrator import Orchestrator as Orchestrator
    from dovetail.components.orchestrator import RunControl as RunControl
    from dovetail.components.orchestrator import Task as Task
    from dovetail.components.process import RunningProcess as RunningProcess
    from dovetail.components.secret_store import SecretStore as SecretStore
    from dovetail.components.serving.deployer import ProcessModelDeployer as ProcessModelDeployer
    from dovetail.components.step_operator import StepOperator as StepOperator
    from dovetail.components.webhook import WebhookAlerter as WebhookAlerter
    from dovetail.values.context import StepRun as StepRun
    from dovetail.values.validation import Check as Check
    from dovetail.values.validation import Finding as Finding
    from dovetail.values.validation import Validation as Validation
    from dovetail.values.validation import Verdict as Verdict

_HOMES = {
    "Alert": "dovetail.components.alerter",
    "Alerter": "dovetail.components.alerter",
    "ArtifactStore": "dovetail.components.artifact_store",
    "Capability": "dovetail.components.component",
    "Component": "dovetail.components.component",
    "Check": "dovetail.values.validation",
    "ContainerRegistry": "dovetail.components.container_registry",
    "Credentials": "dovetail.components.container_registry",
    "DataValidator": "dovetail.components.data_validator",
    "Deployment": "dovetail.components.model_deployer",
    "DeploymentStatus": "dovetail.components.model_deployer",
    "Entry": "dovetail.components.artifact_store",
    "Examined": "dovetail.components.data_validator",
    "ExperimentTracker": "dovetail.components.experiment_tracker",
    "Finding": "dovetail.values.validation",
    "GraphOrchestrator": "dovetail.components.orchestrator",
    "ImageBuilder": "dovetail.components.image_builder",
    "Job": "dovetail.components.job",
    "JobGraph": "dovetail.components.job",
    "Level": "dovetail.components.alerter",
    "ModelDeployer": "dovetail.components.model_deployer",
    "ModelRegistry": "dovetail.components.model_registry",
    "ObjectStore": "dovetail.components.object_store",
    "Orchestrator": "dovetail.components.orchestrator",
    "ProcessModelDeployer": "dovetail.components.serving.deployer",
    "RegistryEntry": "dovetail.components.model_registry",
    "RunControl": "dovetail.components.orchestrator",
    "RunningJob": "dovetail.components.job",
    "RunningProcess": "dovetail.components.process",
    "Secret": "dovetail.components.component",
    "SecretStore": "dovetail.components.secret_store",
    "StepOperator": "dovetail.components.step_operator",
    "StepRun": "dovetail.values.context",
    "Task": "dovetail.components.orchestrator",
    "Validation": "dovetail.values.validation",
    "Verdict": "dovetail.values.validation",
    "WebhookAlerter": "dovetail.components.webhook",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  # a sorted list of strings


def __getattr__(name: str) -> Any:
    """Each interface is imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
