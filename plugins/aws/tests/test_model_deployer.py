"""Endpoints of SageMaker keep the contract of model deployers, with containers that an engine really runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from conftest import KEYS, asking
from dovetail.components import Deployment, DeploymentStatus
from dovetail.errors import ConfigurationError, DeploymentError
from dovetail.stack.checks import DEADLINE
from dovetail.testing import ModelDeployerContract
from dovetail.testing.models import BrokenMaterializer, Scales, ScalesMaterializer
from dovetail_aws.connection import AwsConnection
from dovetail_aws.model_deployer import SageMakerModelDeployer
from emulator import Emulator
from endpoints_service import EndpointsService
from sagemaker_service import ACCOUNT, REGION, ROLE, serving

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/dovetail-serving:trial"
Make = Callable[..., SageMakerModelDeployer]


@pytest.fixture(scope="session")
def serving_image(engine: Any, job_image: str) -> str:
    """As the README has it made."""
    client = engine.client()
    made = client.containers.create(job_image, ["true"])
    try:
        made.commit(IMAGE.rpartition(":")[0], "trial", changes=f'ENTRYPOINT ["{sys.prefix}/bin/python", "-m", "dovetail_aws.sagemaker_serving"]')
    finally:
        made.remove()
    return IMAGE


@pytest.fixture(scope="session")
def endpoints(s3: Emulator, engine: Any, role: str) -> Iterator[EndpointsService]:
    from dovetail_docker.testing import mounted_sources

    with serving(EndpointsService(s3.port, engine, mounted_sources(), asking("s3", s3.url))) as service:
        yield service


def made_for(service: EndpointsService, **given: Any) -> SageMakerModelDeployer:
    all_given = {
        "role": ROLE, "image": IMAGE, "model_path": "s3://trial/models", "endpoint_url": service.url, "region": REGION, "poll": 0.05, "startup_timeout": 60, **KEYS, **given,
    }  # fmt: skip
    return SageMakerModelDeployer(**all_given).called("endpoints", "sagemaker")  # type: ignore[return-value]


class TestSageMakerEndpoints(ModelDeployerContract):
    @pytest.fixture
    def deployer(self, endpoints: EndpointsService, serving_image: str) -> SageMakerModelDeployer:
        return made_for(endpoints)

    @pytest.fixture
    def kill(self, endpoints: EndpointsService) -> Callable[[Mapping[str, Any]], None]:
        def kill(handle: Mapping[str, Any]) -> None:
            standing = endpoints.endpoints[handle["endpoint"]].standing
            assert standing is not None
            standing.container.kill()

        return kill


def deployment_of(folder: Path, by: float = 2.0, name: str = "scales", materializer: Any = ScalesMaterializer, **more: Any) -> Deployment:
    from dovetail.materializers.finder import Materializers
    from dovetail.registry import Registry

    model = folder / f"{by}-{materializer.__name__}"
    model.mkdir()
    saved = Materializers(Registry.load().materializer_specs()).save(Scales(by), str(model), materializer)
    return Deployment(name, model, saved.materializer, saved.type, "0" * 64, folder / "deployment", **more)


def test_a_deployment_of_the_same_name_takes_its_place_without_a_gap(endpoints: EndpointsService, serving_image: str, tmp_path: Path) -> None:
    deployer = made_for(endpoints)
    first = deployer.start(deployment_of(tmp_path, 2.0, "updated"))
    second = deployer.start(deployment_of(tmp_path, 3.0, "updated"))
    try:
        assert first["endpoint"] == second["endpoint"]
        assert (deployer.status(first), deployer.status(second)) == (DeploymentStatus.STOPPED, DeploymentStatus.RUNNING)
        deployer.stop(first)
        assert deployer.predict(second, [[1]]) == [3.0]
        with pytest.raises(DeploymentError, match="What it served before, it serves still.*\n.*these weights are damaged"):
            deployer.start(deployment_of(tmp_path, 4.0, "updated", BrokenMaterializer))
        assert deployer.status(second) is DeploymentStatus.RUNNING
        assert deployer.predict(second, [[1]]) == [3.0]
    finally:
        deployer.stop(second)
    assert "updated" not in endpoints.endpoints
    assert [name for name in (*endpoints.models, *endpoints.configs) if name.startswith("updated")] == []
    assert asking("s3", endpoints.url).list_objects_v2(Bucket="trial", Prefix="models/").get("KeyCount") == 0


# -- requests --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def noted(s3: Emulator, role: str) -> Iterator[EndpointsService]:
    """Runs nothing: an endpoint serves as soon as it is asked for."""

    class Quiet(EndpointsService):
        def _begin(self, name: str, config: str) -> None:
            self.endpoints[name].status, self.endpoints[name].config = "InService", config

    with serving(Quiet(s3.port)) as service:
        yield service


KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"


def at(found: Any, place: str) -> Any:
    for part in place.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


SETTINGS: list[tuple[dict[str, Any], str, str, Any]] = [
    ({"role": f"{ROLE}-2"}, "CreateModel", "ExecutionRoleArn", f"{ROLE}-2"),
    ({"image": IMAGE + "2"}, "CreateModel", "PrimaryContainer.Image", IMAGE + "2"),
    ({"variables": {"A": "b"}}, "CreateModel", "PrimaryContainer.Environment", {"A": "b"}),
    ({"subnets": ["subnet-1"], "security_group_ids": ["sg-1"]}, "CreateModel", "VpcConfig", {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
    ({"instance_type": "ml.g5.xlarge"}, "CreateEndpointConfig", "ProductionVariants.0.InstanceType", "ml.g5.xlarge"),
    ({"startup_timeout": 900}, "CreateEndpointConfig", "ProductionVariants.0.ContainerStartupHealthCheckTimeoutInSeconds", 900),
    ({"serverless_memory": 2048}, "CreateEndpointConfig", "ProductionVariants.0.ServerlessConfig", {"MemorySizeInMB": 2048, "MaxConcurrency": 5}),
    ({"serverless_memory": 1024, "serverless_concurrency": 9}, "CreateEndpointConfig", "ProductionVariants.0.ServerlessConfig.MaxConcurrency", 9),
    ({"kms_key": KEY}, "CreateEndpointConfig", "KmsKeyId", KEY),
    ({"tags": {"team": "fraud"}}, "CreateModel", "Tags", [{"Key": "team", "Value": "fraud"}]),
    ({"tags": {"team": "fraud"}}, "CreateEndpointConfig", "Tags", [{"Key": "team", "Value": "fraud"}]),
    ({"tags": {"team": "fraud"}}, "CreateEndpoint", "Tags", [{"Key": "team", "Value": "fraud"}]),
]


@pytest.mark.parametrize(("given", "verb", "place", "wanted"), SETTINGS, ids=[f"{' '.join(given)} {verb}" for given, verb, _, _ in SETTINGS])
def test_a_setting_is_in_the_request(noted: EndpointsService, tmp_path: Path, given: dict[str, Any], verb: str, place: str, wanted: Any) -> None:
    made_for(noted, **given).start(deployment_of(tmp_path))
    assert at(noted.sent(verb), place) == wanted


def test_a_deployments_own_settings_and_replicas_are_in_the_request(noted: EndpointsService, tmp_path: Path) -> None:
    settings = {"image": IMAGE + "3", "instance_type": "ml.c5.xlarge", "startup_timeout": 300, "variables": {"B": "c"}}
    handle = made_for(noted).start(deployment_of(tmp_path, name="Größe 1", settings=settings, replicas=3))
    variant = noted.sent("CreateEndpointConfig")["ProductionVariants"][0]
    assert (variant["InstanceType"], variant["InitialInstanceCount"], variant["ContainerStartupHealthCheckTimeoutInSeconds"]) == ("ml.c5.xlarge", 3, 300)
    container = noted.sent("CreateModel")["PrimaryContainer"]
    assert (container["Image"], container["Environment"]) == (IMAGE + "3", {"B": "c"})
    assert handle["endpoint"].startswith("Gr-e-1-")


def test_a_models_files_are_encrypted_as_configured(noted: EndpointsService, tmp_path: Path) -> None:
    made_for(noted, kms_key=KEY).start(deployment_of(tmp_path))
    uri = noted.sent("CreateModel")["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"]
    s3 = asking("s3", noted.url)
    prefix = uri.removeprefix("s3://trial/")
    names = [each["Key"] for each in s3.list_objects_v2(Bucket="trial", Prefix=prefix)["Contents"]]
    assert names == [f"{prefix}data/scales.json", f"{prefix}serving.json"]
    assert {s3.head_object(Bucket="trial", Key=name)["SSEKMSKeyId"] for name in names} == {KEY}


def test_what_could_not_be_started_leaves_nothing(noted: EndpointsService, tmp_path: Path) -> None:
    message = "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances, with current utilization of 0 Instances and a request delta of 1 Instances."
    with noted.refusing("CreateEndpoint", "ResourceLimitExceeded", message), pytest.raises(DeploymentError, match="quota 'ml.m5.large for endpoint usage' is too low: `aws"):
        made_for(noted).start(deployment_of(tmp_path))
    assert (noted.models, noted.configs, noted.endpoints) == ({}, {}, {})


def test_a_service_that_is_away_is_not_taken_for_an_end(noted: EndpointsService, tmp_path: Path) -> None:
    deployer = made_for(noted, attempts=1)
    handle = deployer.start(deployment_of(tmp_path))
    with noted.refusing("DescribeEndpoint", "ThrottlingException", "Rate exceeded"):
        assert deployer.status(handle) is DeploymentStatus.UNKNOWN


def test_no_field_is_without_a_test_of_what_it_does() -> None:
    tried = {name for given, *_ in SETTINGS for name in given} | {"model_path", "poll"}
    assert {each.name for each in fields(SageMakerModelDeployer)} - {each.name for each in fields(AwsConnection)} == tried


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model_path": "/models"}, "Write it as s3://bucket/prefix"),
        ({"subnets": ["subnet-1"]}, "go together"),
        ({"serverless_memory": 1000}, "in steps of 1024"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(noted: EndpointsService, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        made_for(noted, **given)


def test_replicas_without_machines_are_refused(noted: EndpointsService, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="has 2 replicas, and `serverless_memory` has none"):
        made_for(noted, serverless_memory=1024).start(deployment_of(tmp_path, replicas=2))


def test_the_check_says_what_is_wrong_within_its_deadline(noted: EndpointsService) -> None:
    assert made_for(noted).check() == []
    began = time.monotonic()
    (problem,) = made_for(noted, endpoint_url="http://192.0.2.1:9").check()
    assert time.monotonic() - began < DEADLINE
    assert "192.0.2.1:9" in problem
    found = made_for(noted, role=f"{ROLE}-nobody", image="python:3.11").check()
    assert ["There is no role" in found[0], "pulls images from ECR alone" in found[1]] == [True, True]
