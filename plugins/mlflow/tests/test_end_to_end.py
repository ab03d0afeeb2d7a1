"""One pipeline on a stack of tracker, registry and deployer, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from dovetail.components import DeploymentStatus
from dovetail_mlflow.model_deployer import MlflowModelDeployer
from dovetail_mlflow.model_registry import MlflowModelRegistry
from dovetail_mlflow.tracker import MlflowTracker

_FLOWER = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture
def trial(project: Any, server: Any) -> Any:
    at_server = {"tracking_uri": server.url}
    return project.on(MlflowTracker(experiment_name="flowers", **at_server), MlflowModelRegistry(**at_server), MlflowModelDeployer())


def test_a_model_is_trained_registered_promoted_served_and_asked(project: Any, trial: Any, server: Any) -> None:
    run = trial.run(project.training.served)
    assert (run.status, [step.outcome.get("tracker_errors") for step in run.steps.values()]) == ("completed", [None] * len(run.steps))
    deployment = trial.client.get_deployment("iris")
    try:
        trial.client.get_model_version("iris", 1).promote("production")
        version = server.client().get_model_version_by_alias("iris", "production")
        parent = server.client().get_run(version.run_id)
        assert (version.tags["dovetail.run_id"], parent.data.tags["dovetail.run_id"]) == (run.id, run.id)
        assert server.client().get_experiment(parent.info.experiment_id).name == "flowers"
        assert run.steps["mlflow_model_deployer_step"].output.load() == deployment.url
        assert list(deployment.predict(_FLOWER)) == [0]
        assert deployment.predict(_FLOWER, "predict_proba").shape == (1, 3)
        assert _as_others_ask(deployment.url) == [0]
        assert _from_another_process(trial, deployment.record["handle"]) == "running"
        again = trial.run(project.training.served)
        assert again.status == "cached", "the same model under the same name is served already"
    finally:
        deployment.delete()
    assert deployment.status is DeploymentStatus.STOPPED


def _as_others_ask(url: str) -> list[int]:
    request = urllib.request.Request(f"{url}/invocations", json.dumps({"instances": _FLOWER}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: list[int] = json.loads(response.read())["predictions"]
    return answer


def _from_another_process(trial: Any, handle: Any) -> str:
    code = (
        "import json, sys; from dovetail_mlflow.model_deployer import MlflowModelDeployer; "
        "sys.stdout.write(MlflowModelDeployer().status(json.loads(sys.argv[1])).value)"
    )
    return subprocess.run([sys.executable, "-c", code, json.dumps(handle)], capture_output=True, text=True, check=True).stdout
