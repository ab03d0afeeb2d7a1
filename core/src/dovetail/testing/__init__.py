"""For tests: of pipelines (`in_memory`, `run_step`, fakes, faults), and of plugins, one contract class per interface.

    def test_training(frame):
        with in_memory() as stack:
            run = training()                            # the real thing, and nothing is left of it
            assert stack.tracker.told["train"].params == {"rate": 0.1}
            assert run_step(evaluate, frame=frame).metrics["auc"] > 0.7

Inherit a contract, give its fixtures, and every promise of the interface is tested:

    class TestAcmeTracker(ExperimentTrackerContract):
        @pytest.fixture
        def tracker(self, acme_server): return AcmeTracker(url=acme_server.url)

Needs `pip install dovetail[testing]`. A promise that cannot be kept is waived by name, with a reason; see `Contract`.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.testing.alerter import AlerterContract as AlerterContract
    from dovetail.testing.alerter import Delivered as Delivered
    from dovetail.testing.artifact_store import ArtifactStoreContract as ArtifactStoreContract
    from dovetail.testing.container_registry import ContainerRegistryContract as ContainerRegistryContract
    from dovetail.testing.contract import Contract as Contract
    from dovetail.testing.data_validator import DataValidatorContract as DataValidatorContract
    from dovetail.testing.experiment_tracker import ExperimentTrackerContract as ExperimentTrackerContract
    from dovetail.testing.experiment_tracker import Recorded as Recorded
    from dovetail.testing.fakes import FakeAlerter as FakeAlerter
    from dovetail.testing.fakes import FakeDeployer as FakeDeployer
    from dovetail.testing.fakes import FakeTracker as FakeTracker
    from dovetail.testing.faults import failing_store as failing_store
    from dovetail.testing.faults import lost_worker as lost_worker
    from dovetail.testing.faults import refused_credentials as refused_credentials
    from dovetail.testing.faults import slow_store as slow_store
    from dovetail.testing.graph_orchestrator import GraphOrchestratorContract as GraphOrchestratorContract
    from dovetail.testing.image_builder import ImageBuilderContract as ImageBuilderContract
    from dovetail.testing.materializer import MaterializerContract as MaterializerContract
    from dovetail.testing.model_deployer import ModelDeployerContract as ModelDeployerContract
    from dovetail.testing.model_registry import ModelRegistryContract as ModelRegistryContract
    from dovetail.testing.object_store import ObjectStoreContract as ObjectStoreContract
    from dovetail.testing.orchestrator import OrchestratorContract as OrchestratorContract
    from dovetail.testing.plugin import PluginContract as PluginContract
    from dovetail.testing.secret_store import SecretStoreContract as SecretStoreContract
    from dovetail.testing.stacks import in_memory as in_memory
    from dovetail.testing.stacks import on_disk as on_disk
    from dovetail.testing.step_operator import StepOperatorContract as StepOperatorContract
    from dovetail.testing.step_runs import run_step as run_step
    from dovetail.testing.webhook import webhook_endpoint as webhook_endpoint

_HOMES = {
    "AlerterContract": "alerter",
    "ArtifactStoreContract": "artifact_store",
    "ContainerRegistryContract": "container_registry",
    "Contract": "contract",
    "DataValidatorContract": "data_validator",
    "Delivered": "alerter",
    "ExperimentTrackerContract": "experiment_tracker",
    "GraphOrchestratorContract": "graph_orchestrator",
    "ImageBuilderContract": "image_builder",
    "MaterializerContract": "materializer",
    "ModelDeployerContract": "model_deployer",
    "ModelRegistryContract": "model_registry",
    "ObjectStoreContract": "object_store",
    "OrchestratorContract": "orchestrator",
    "PluginContract": "plugin",
    "FakeAlerter": "fakes",
    "FakeDeployer": "fakes",
    "FakeTracker": "fakes",
    "Recorded": "experiment_tracker",
    "SecretStoreContract": "secret_store",
    "StepOperatorContract": "step_operator",
    "failing_store": "faults",
    "in_memory": "stacks",
    "lost_worker": "faults",
    "on_disk": "stacks",
    "refused_credentials": "faults",
    "run_step": "step_runs",
    "slow_store": "faults",
    "webhook_endpoint": "webhook",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  # a sorted list of strings

if "pytest" in sys.modules:  # the worker of a step, which may import its pipelines from here, has no pytest
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
