"""The deployer keeps what every deployer keeps, by the real `mlflow models serve`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dovetail.testing import ModelDeployerContract
from dovetail.values.processes import send_signal
from dovetail_mlflow.model_deployer import MlflowModelDeployer


class TestMlflowModelDeployer(ModelDeployerContract):
    @pytest.fixture
    def deployer(self) -> MlflowModelDeployer:
        return MlflowModelDeployer()

    @pytest.fixture
    def kill(self) -> Callable[[Mapping[str, Any]], None]:
        def kill(handle: Mapping[str, Any]) -> None:
            for process in handle["processes"]:
                send_signal(process, signal.SIGKILL)

        return kill
