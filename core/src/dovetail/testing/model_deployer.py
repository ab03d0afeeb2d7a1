"""What every model deployer keeps: what it says is served is served, and what is not served is never said to be."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from dovetail.client.views import Artifact
from dovetail.components import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import DeploymentError
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.materializers.finder import Materializers
from dovetail.materializers.interface import BaseMaterializer
from dovetail.registry import Registry
from dovetail.testing.contract import Contract
from dovetail.testing.elsewhere import elsewhere
from dovetail.testing.given import alike
from dovetail.testing.models import BrokenMaterializer, PickledMaterializer, Scales, ScalesMaterializer
from dovetail.testing.trial import TrialProject

_ROWS = [[1, 2], [3, 4.5]]

Handle = Mapping[str, Any]
Deploy = Callable[..., dict[str, Any]]
Describe = Callable[..., Deployment]


class ModelDeployerContract(Contract):
    """Fixtures: `deployer`, the one to try, and `kill`, a function that ends what serves a handle as a crash would.

    `notices_within`: seconds after which its death, and what it logged, have to be seen.
    """

    notices_within: ClassVar[float] = 30.0

    @pytest.fixture
    def describe(self, tmp_path: Path, project: TrialProject) -> Describe:
        """What is to be deployed: a model that answers rows with their sums, `by` times."""

        def describe(
            by: float = 2.0, name: str = "scales", materializer: type[BaseMaterializer] = ScalesMaterializer, **more: Any
        ) -> Deployment:
            folder = tmp_path / uuid.uuid4().hex
            model = folder / "data"
            model.mkdir(parents=True)
            saved = Materializers(Registry.load().materializer_specs()).save(Scales(by), str(model), materializer)
            return Deployment(name, model, saved.materializer, saved.type, "0" * 64, folder / "deployment", **more)

        return describe

    @pytest.fixture
    def deploy(self, deployer: ModelDeployer, describe: Describe) -> Iterator[Deploy]:
        """Starts deployments, and ends them after the test."""
        started: list[dict[str, Any]] = []

        def deploy(**described: Any) -> dict[str, Any]:
            started.append(deployer.start(describe(**described)))
            return started[-1]

        yield deploy
        for handle in started:
            deployer.stop(handle)

    def test_what_was_started_runs_and_answers(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        handle = deploy(by=2.0)
        assert deployer.status(handle) is DeploymentStatus.RUNNING
        assert deployer.predict(handle, _ROWS) == [6.0, 15.0]
        assert deployer.predict(handle, []) == []

    def test_a_handle_is_small_json_that_holds_the_url(self, deploy: Deploy) -> None:
        handle = deploy()
        assert json.loads(json.dumps(handle)) == handle
        assert len(json.dumps(handle)) < 10_000
        assert "://" in handle["url"]

    def test_a_handle_finds_its_deployment_from_another_instance(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        handle = json.loads(json.dumps(deploy(by=3.0)))
        other = alike(deployer)
        assert other.status(handle) is DeploymentStatus.RUNNING
        assert other.predict(handle, _ROWS) == [9.0, 22.5]
        other.stop(handle)
        assert deployer.status(handle) is DeploymentStatus.STOPPED

    def test_a_handle_finds_its_deployment_from_another_process(
        self, deployer: ModelDeployer, deploy: Deploy, project: TrialProject
    ) -> None:
        with elsewhere(project, deployer, "ask", [[deploy(by=3.0), _ROWS]]) as answers:
            assert answers == [["running", [9.0, 22.5]]]

    def test_a_method_besides_predict_can_be_asked(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        assert deployer.predict(deploy(), [[1, 2]], "predict_proba") == [[0.25, 0.75]]

    def test_a_stopped_deployment_says_so_and_answers_no_more(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        handle = deploy()
        deployer.stop(handle)
        assert deployer.status(handle) is DeploymentStatus.STOPPED
        with pytest.raises(DeploymentError):
            deployer.predict(handle, _ROWS)
        assert self._eventually(lambda: not _listens_here(handle["url"])), f"it is stopped, and something listens at {handle['url']} still"
        deployer.stop(handle)  # it has ended already, which is no error

    def test_a_dead_deployment_is_never_said_to_run(
        self, deployer: ModelDeployer, deploy: Deploy, kill: Callable[[Handle], None]
    ) -> None:
        handle = deploy()
        kill(handle)
        dead = (DeploymentStatus.FAILED, DeploymentStatus.UNKNOWN)
        assert self._eventually(lambda: deployer.status(handle) in dead), (
            f"it is dead, and said to be {deployer.status(handle).value}"
        )
        with pytest.raises(DeploymentError):
            deployer.predict(handle, _ROWS)
        deployer.stop(handle)

    def test_a_model_that_cannot_be_loaded_is_told_with_the_last_lines_of_its_log(self, deploy: Deploy) -> None:
        with pytest.raises(DeploymentError, match="the weights do not fit") as caught:
            deploy(materializer=BrokenMaterializer)
        assert "these weights are damaged" in str(caught.value)

    def test_what_the_model_printed_is_in_the_logs(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        handle = deploy()
        for _ in range(3):
            deployer.predict(handle, _ROWS)
        assert self._eventually(lambda: sum("asked for 2 rows" in line for line in deployer.logs(handle, 100)) == 3)
        assert len(deployer.logs(handle, 2)) == 2

    def test_an_error_of_the_model_reaches_who_asked_and_ends_nothing(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        handle = deploy()
        with pytest.raises(DeploymentError, match="a row of text has no sum"):
            deployer.predict(handle, [["a"]])
        assert deployer.predict(handle, _ROWS) == [6.0, 15.0]

    def test_deployments_at_once_do_not_mix(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        handles = [deploy(by=float(by), name=f"by-{by}") for by in (2, 3)]
        assert [deployer.predict(handle, [[1]]) for handle in handles] == [[2.0], [3.0]]
        deployer.stop(handles[0])
        assert deployer.predict(handles[1], [[1]]) == [3.0]

    def test_an_update_keeps_the_address_and_answers_with_the_new_model(
        self, deployer: ModelDeployer, deploy: Deploy, describe: Describe
    ) -> None:
        before = deploy(by=2.0, name="updated")
        after = deployer.update(before, describe(by=5.0, name="updated"))
        try:
            assert after["url"] == before["url"]
            assert deployer.status(after) is DeploymentStatus.RUNNING
            assert deployer.predict(after, [[1, 2]]) == [15.0]
            assert deployer.status(before) is DeploymentStatus.STOPPED, "what was replaced is said to run still"
        finally:
            deployer.stop(after)

    def test_no_request_is_lost_in_an_update(self, deployer: ModelDeployer, deploy: Deploy, describe: Describe) -> None:
        asking = _Asking(deployer, deploy(by=2.0, name="updated"))
        with asking:
            after = deployer.update(asking.handle, describe(by=5.0, name="updated"))
            try:
                assert self._eventually(lambda: asking.answers[-1:] == [15.0]), "the new model never answers"
            finally:
                asking.done()
                deployer.stop(after)
        assert asking.errors == []
        assert set(asking.answers) == {6.0, 15.0}

    def test_a_model_that_never_gets_healthy_leaves_the_old_one_serving(
        self, deployer: ModelDeployer, deploy: Deploy, describe: Describe
    ) -> None:
        handle = deploy(by=2.0, name="updated")
        with pytest.raises(DeploymentError, match="the weights do not fit"):
            deployer.update(handle, describe(name="updated", materializer=BrokenMaterializer))
        assert deployer.status(handle) is DeploymentStatus.RUNNING
        assert deployer.predict(handle, _ROWS) == [6.0, 15.0]

    def test_replicas_are_started_or_refused(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        try:
            handle = deploy(replicas=2)
        except DeploymentError as error:
            refused = str(error)
            handle = {}
        if not handle:
            assert "replica" in refused
            return
        assert deployer.status(handle) is DeploymentStatus.RUNNING
        assert [deployer.predict(handle, [[1]]) for _ in range(6)] == [[2.0]] * 6

    def test_a_setting_that_it_does_not_know_is_refused(self, deploy: Deploy) -> None:
        with pytest.raises(DeploymentError, match="no_such_setting"):
            deploy(settings={"no_such_setting": 1})

    def test_a_pickled_model_is_loaded_only_from_a_trusted_store(self, deployer: ModelDeployer, deploy: Deploy) -> None:
        with pytest.raises(DeploymentError, match="trusted"):
            deploy(materializer=PickledMaterializer)
        assert deployer.predict(deploy(materializer=PickledMaterializer, trusted=True), [[1]]) == [2.0]

    def test_a_model_is_deployed_and_asked_through_the_client(
        self, deployer: ModelDeployer, project: TrialProject, tmp_path: Path
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), deployer)
        digest, _ = trial.client.ledger.artifacts.save(Scales(4.0), materializer=ScalesMaterializer)
        config = {"model": Artifact(trial.client, digest), "model_name": "scales"}
        made = trial.client.active_stack.model_deployer.deploy_model(config=config)
        try:
            assert trial.client.get_deployment("scales").predict(_ROWS) == [12.0, 30.0]
            assert [each.url for each in trial.client.list_deployments()] == [made.url]
        finally:
            made.delete()
        assert trial.client.list_deployments() == []

    def test_its_own_check_finds_nothing_wrong(self, deployer: ModelDeployer) -> None:
        assert deployer.check() == []

    def _eventually(self, holds: Callable[[], bool]) -> bool:
        until = time.monotonic() + self.notices_within
        while not holds():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


class _Asking(threading.Thread):
    """Asks the model again and again, by the handle from before an update, while it lasts."""

    def __init__(self, deployer: ModelDeployer, handle: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.deployer, self.handle = deployer, handle
        self.answers: list[float] = []
        self.errors: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self.answers += self.deployer.predict(self.handle, [[1, 2]])
            except DeploymentError as error:
                self.errors.append(str(error))

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.done()

    def done(self) -> None:
        self._over.set()
        self.join()


def _listens_here(url: str) -> bool:
    """Whether somebody takes connections at an address of this machine; what a service has elsewhere may stay."""
    place = urlsplit(url)
    if place.port is None or place.hostname not in ("localhost", "127.0.0.1", "::1"):
        return False
    try:
        socket.create_connection((place.hostname, place.port), timeout=5).close()
    except OSError:
        return False
    return True
