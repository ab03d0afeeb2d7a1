"""The built-in model deployer keeps the contract."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.testing import ModelDeployerContract
from dovetail.values.processes import send_signal


class TestLocalModelDeployer(ModelDeployerContract):
    @pytest.fixture
    def deployer(self) -> LocalModelDeployer:
        return LocalModelDeployer()

    @pytest.fixture
    def kill(self) -> Callable[[Mapping[str, Any]], None]:
        def kill(handle: Mapping[str, Any]) -> None:
            for process in handle["processes"]:
                send_signal(process, signal.SIGKILL)

        return kill
