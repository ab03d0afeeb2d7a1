"""The deployer of Vertex AI keeps the contract: what it deploys is really served, by containers as the requests describe them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google_fake import GoogleFake, Problem
from models_fake import EndpointsFake
from storage_emulator import Emulator, emulator

from dovetail.components import Deployment
from dovetail.errors import DeploymentError
from dovetail.testing import ModelDeployerContract
from dovetail_docker import testing
from dovetail_gcp.vertex_model_deployer import VertexModelDeployer
from dovetail_gcp.vertex_serving import answered


@pytest.fixture(scope="module")
def storage() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(autouse=True)
def storage_here(storage: Emulator, monkeypatch: pytest.MonkeyPatch, own_google: None) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)


@pytest.fixture
def fake(google: GoogleFake, engine: testing.DockerEngine, mounted: list[str], storage: Emulator) -> Iterator[EndpointsFake]:
    made = EndpointsFake(google, engine.client(), mounted, storage.url)
    try:
        yield made
    finally:
        made.close()


def deployer_at(google: GoogleFake, image: str, **fields: Any) -> VertexModelDeployer:
    given = {
        "project": "p", "location": "europe-west4", "endpoint_url": google.url, "image": image, "bucket": f"gs://trial/{uuid.uuid4().hex}",
        "python": f"{sys.prefix}/bin/python", "attempts": 2, **fields,
    }  # fmt: skip
    return VertexModelDeployer(**given).called("served", "vertex")  # type: ignore[return-value]


class TestVertexModelDeployer(ModelDeployerContract):
    waived = dict.fromkeys(
        ("test_an_update_keeps_the_address_and_answers_with_the_new_model", "test_no_request_is_lost_in_an_update"),
        "Each deployment has an endpoint of its own, so an update has another address, and the old one ends once the new one serves.",
    )

    @pytest.fixture
    def deployer(self, google: GoogleFake, fake: EndpointsFake, python_image: str) -> VertexModelDeployer:
        return deployer_at(google, python_image)

    @pytest.fixture
    def kill(self, fake: EndpointsFake) -> Callable[[Mapping[str, Any]], None]:
        return lambda handle: fake.containers[handle["endpoint"].rpartition("/")[2]].kill()


@pytest.fixture
def requests(google: GoogleFake, storage: Emulator, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Deploys by a deployer of these fields, where nothing is run, and gives the bodies that the service received, by method."""
    fake = EndpointsFake(google, None, [], storage.url)
    fake._served = lambda *_: {"done": True, "response": {"deployedModel": {"id": "7"}}}  # type: ignore[method-assign]

    def requests(settings: dict[str, Any] | None = None, replicas: int = 1, **fields: Any) -> dict[str, Any]:
        deployer_at(google, "serving:1", **fields).start(deployment(tmp_path, replicas=replicas, settings=settings or {}))
        return {ending: google.received("POST", f"{ending}")[-1].body for ending in ("models:upload", "endpoints", ":deployModel")}

    return requests


def deployment(folder: Path, **more: Any) -> Deployment:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "weights").write_bytes(b"w")
    return Deployment("Fraud Model", folder / "data", "m:M", "t:T", "ab" * 32, folder / "deployment", **more)


def test_what_is_deployed_is_in_the_requests(requests: Callable[..., dict[str, Any]]) -> None:
    sent = requests(replicas=2)
    own = {"dovetail-deployment": "fraud-model", "dovetail-digest": "ab" * 8}
    assert sent["endpoints"] == {"displayName": "Fraud Model", "labels": own}
    served = sent[":deployModel"]["deployedModel"]
    assert served["dedicatedResources"] == {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 2, "maxReplicaCount": 2}
    assert sent["models:upload"]["model"]["labels"] == own


@pytest.mark.parametrize(
    ("fields", "ending", "place", "value"),
    [
        ({"machine_type": "g2-standard-8"}, ":deployModel", "deployedModel.dedicatedResources.machineSpec.machineType", "g2-standard-8"),
        (
            {"accelerator_type": "nvidia-tesla-t4", "accelerator_count": 2}, ":deployModel", "deployedModel.dedicatedResources.machineSpec",
            {"machineType": "n1-standard-2", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 2},
        ),
        ({"max_replicas": 5}, ":deployModel", "deployedModel.dedicatedResources.maxReplicaCount", 5),
        ({"spot": True}, ":deployModel", "deployedModel.dedicatedResources.spot", True),
        ({"service_account": "s@p"}, ":deployModel", "deployedModel.serviceAccount", "s@p"),
        ({"labels": {"Team": "x"}}, "endpoints", "labels.team", "x"),
        ({"image": "other:2"}, "models:upload", "model.containerSpec.imageUri", "other:2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["component", "deployment"])
def test_a_setting_is_in_the_request_whoever_says_it(
    requests: Callable[..., dict[str, Any]], fields: dict[str, Any], ending: str, place: str, value: Any, by: str
) -> None:
    if by == "component" and "image" in fields:
        return
    found = (requests(settings=fields) if by == "deployment" else requests(**fields))[ending]
    for name in place.split("."):
        found = found[name]
    assert found == value


def test_a_key_of_ones_own_encrypts_model_and_endpoint(requests: Callable[..., dict[str, Any]]) -> None:
    sent = requests(encryption_key="k")
    assert (sent["endpoints"]["encryptionSpec"], sent["models:upload"]["model"]["encryptionSpec"]) == ({"kmsKeyName": "k"}, {"kmsKeyName": "k"})


def test_more_replicas_than_the_most_are_refused(requests: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(DeploymentError, match="max_replicas is 1"):
        requests(replicas=2, max_replicas=1)


def test_what_was_made_before_a_failure_is_removed(google: GoogleFake, storage: Emulator, tmp_path: Path) -> None:
    fake = EndpointsFake(google, None, [], storage.url)
    said = "The following quota metrics exceed quota limits: CustomModelServingCPUsPerProjectPerRegion"
    google.refused.append(("POST .*:deployModel", Problem(429, "RESOURCE_EXHAUSTED", said)))
    with pytest.raises(DeploymentError, match="CustomModelServingCPUsPerProjectPerRegion"):
        deployer_at(google, "serving:1").start(deployment(tmp_path))
    assert (fake.endpoints, fake.models) == ({}, {})


def test_what_is_left_of_a_failure_is_told(google: GoogleFake, storage: Emulator, tmp_path: Path) -> None:
    EndpointsFake(google, None, [], storage.url)
    google.refused.append(("POST .*:deployModel", Problem(400, "INVALID_ARGUMENT", "no such machine")))
    google.refused.append((r"DELETE .*/endpoints/\d+", Problem(400, "FAILED_PRECONDITION", "Endpoint is being deployed to.")))
    with pytest.raises(DeploymentError, match=r"(?s)no such machine.*being deployed to.*gcloud ai endpoints list --region=europe-west4 --project=p"):
        deployer_at(google, "serving:1").start(deployment(tmp_path))


def test_an_image_that_cannot_be_pulled_is_told_with_the_cure(google: GoogleFake, storage: Emulator, tmp_path: Path) -> None:
    fake = EndpointsFake(google, None, [], storage.url)
    said = "Failed to pull image europe-west4-docker.pkg.dev/p/images/serve:1: permission denied"
    fake._served = lambda *_: {"done": True, "error": {"code": 9, "message": said}}  # type: ignore[method-assign]
    with pytest.raises(DeploymentError, match="add-iam-policy-binding images .*artifactregistry.reader"):
        deployer_at(google, "europe-west4-docker.pkg.dev/p/images/serve:1").start(deployment(tmp_path))


def test_the_url_is_where_plain_callers_ask(google: GoogleFake, storage: Emulator, tmp_path: Path) -> None:
    fake = EndpointsFake(google, None, [], storage.url)
    fake._served = lambda *_: {"done": True, "response": {"deployedModel": {"id": "7"}}}  # type: ignore[method-assign]
    handle = deployer_at(google, "serving:1").start(deployment(tmp_path))
    assert handle["url"] == f"https://europe-west4-aiplatform.googleapis.com/v1/{handle['endpoint']}:predict"


class Doubling:
    def predict(self, rows: list[Any]) -> list[Any]:
        return [2 * row for row in rows]

    def predict_proba(self, rows: list[Any]) -> list[Any]:
        return [[0.5] for _ in rows]


def test_plain_callers_are_answered_as_vertex_ai_has_it() -> None:
    assert answered(Doubling(), {"instances": [1, 2]}) == (200, {"predictions": [2, 4]})
    assert answered(Doubling(), {"instances": [1], "parameters": {"method": "predict_proba"}}) == (200, {"predictions": [[0.5]]})
    assert answered(Doubling(), {"instances": [None]})[0] == 400
    assert answered(Doubling(), {"rows": []})[0] == 400
