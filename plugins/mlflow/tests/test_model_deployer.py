"""The deployer keeps what every deployer keeps, by the real `mlflow models serve`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Deployment, DeploymentStatus
from dovetail.materializers.finder import Materializers
from dovetail.registry import Registry
from dovetail.testing import ModelDeployerContract
from dovetail.testing.models import Scales, ScalesMaterializer
from dovetail.values.processes import send_signal
from dovetail_mlflow.model_deployer import MlflowModelDeployer


@dataclass
class Deployments:
    """Servers by what they serve. One takes seconds to start, so what a test left running, the next test is given."""

    deployer: MlflowModelDeployer
    folder: Path
    started: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def get(self, lent: list[dict[str, Any]], *, afresh: bool, by: float, name: str, materializer: Any, **more: Any) -> dict[str, Any]:
        served = (by, materializer, more)
        for key, handle in () if afresh else self.started:
            if key == served and handle not in lent and self.deployer.status(handle) is DeploymentStatus.RUNNING:
                return handle
        folder = self.folder / str(len(list(self.folder.iterdir())))
        (folder / "data").mkdir(parents=True)
        saved = Materializers(Registry.load().materializer_specs()).save(Scales(by), str(folder / "data"), materializer)
        asked = Deployment(name, folder / "data", saved.materializer, saved.type, "0" * 64, folder / "deployment", **more)
        self.started.append((served, self.deployer.start(asked)))
        return self.started[-1][1]


@pytest.fixture(scope="module")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployments]:
    running = Deployments(MlflowModelDeployer(), tmp_path_factory.mktemp("deployments"))
    yield running
    for _, handle in running.started:
        running.deployer.stop(handle)


class TestMlflowModelDeployer(ModelDeployerContract):
    waived = {
        "test_no_request_is_lost_in_an_update": "MLflow's server binds its address itself, so the old one has to leave it before the new one comes."
    }

    @pytest.fixture
    def deployer(self) -> MlflowModelDeployer:
        return MlflowModelDeployer()

    @pytest.fixture
    def deploy(self, deployments: Deployments, project: Any, request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
        lent: list[dict[str, Any]] = []
        afresh = any(part in request.node.name for part in ("in_the_logs", "update"))

        def deploy(by: float = 2.0, name: str = "scales", materializer: Any = ScalesMaterializer, **more: Any) -> dict[str, Any]:
            lent.append(deployments.get(lent, afresh=afresh, by=by, name=name, materializer=materializer, **more))
            return lent[-1]

        return deploy

    @pytest.fixture
    def kill(self) -> Callable[[Mapping[str, Any]], None]:
        def kill(handle: Mapping[str, Any]) -> None:
            for process in handle["processes"]:
                send_signal(process, signal.SIGKILL)

        return kill
