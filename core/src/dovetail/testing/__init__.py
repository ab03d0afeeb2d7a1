"""The conformance kit: one contract class per interface. Inherit it, give its fixtures, and every promise is tested.

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
    from dovetail.testing.artifact_store import ArtifactStoreContract as ArtifactStoreContract
    from dovetail.testing.contract import Contract as Contract
    from dovetail.testing.experiment_tracker import ExperimentTrackerContract as ExperimentTrackerContract
    from dovetail.testing.experiment_tracker import Recorded as Recorded
    from dovetail.testing.materializer import MaterializerContract as MaterializerContract
    from dovetail.testing.model_deployer import ModelDeployerContract as ModelDeployerContract
    from dovetail.testing.orchestrator import OrchestratorContract as OrchestratorContract
    from dovetail.testing.plugin import PluginContract as PluginContract
    from dovetail.testing.secret_store import SecretStoreContract as SecretStoreContract

_HOMES = {
    "ArtifactStoreContract": "artifact_store",
    "Contract": "contract",
    "ExperimentTrackerContract": "experiment_tracker",
    "MaterializerContract": "materializer",
    "ModelDeployerContract": "model_deployer",
    "OrchestratorContract": "orchestrator",
    "PluginContract": "plugin",
    "Recorded": "experiment_tracker",
    "SecretStoreContract": "secret_store",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  # a sorted list of strings

if "pytest" in sys.modules:  # the worker of a step, which may import its pipelines from here, has no pytest
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
