"""Every setting of a job is in the request that SageMaker received; what it would refuse is refused before it is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from conftest import KEYS, asking
from dovetail.components import Job, Secret
from dovetail.errors import ConfigurationError, ImageError
from dovetail.values.settings import Resources
from dovetail.worker import BEGINNING
from dovetail_aws import sagemaker_entry as entry
from dovetail_aws import sagemaker_requests as requests
from dovetail_aws.sagemaker_instances import INSTANCES, smallest
from dovetail_aws.sagemaker_step_operator import SageMakerStepOperator
from dovetail_aws.service_errors import AwsError
from emulator import Emulator
from sagemaker_service import REGION, ROLE, SageMakerService, model

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/dovetail:1"
JOB = Job("train-1", ["-m", "dovetail.execution", "s3:///runs/x", "train"], secrets={"B": "a-planted-secret"})
TRAINING = {"job_type": "training", "output_path": "s3://bucket/out"}
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"
NETWORK = {"subnets": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]}
VPC = {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}}

Make = Callable[..., SageMakerStepOperator]


@pytest.fixture
def make(sagemaker: SageMakerService) -> Make:
    def make(**given: Any) -> SageMakerStepOperator:
        all_given = {"role": ROLE, "endpoint_url": sagemaker.url, "region": REGION, "image": IMAGE, "poll": 0.05, **KEYS, **given}
        made = SageMakerStepOperator(**{name: value for name, value in all_given.items() if value is not None})
        return made.called("sagemaker", "sagemaker")  # type: ignore[return-value]

    return make


def asked(service: SageMakerService, operator: SageMakerStepOperator, job: Job = JOB) -> dict[str, Any]:
    """What SageMaker received for a job."""
    running = operator.start(job)
    running.close()
    return service.sent("CreateProcessingJob" if operator.with_settings(job.settings).job_type == "processing" else "CreateTrainingJob")


def at(found: Any, place: str) -> Any:
    for part in place.split("."):
        found = found[part] if isinstance(found, dict) else {each["Key"]: each["Value"] for each in found}[part]
    return found


_CLUSTER = "ProcessingResources.ClusterConfig"
SETTINGS: list[tuple[dict[str, Any], str, Any]] = [
    ({"role": f"{ROLE}-2"}, "RoleArn", f"{ROLE}-2"),
    ({"instance_type": "ml.m5.4xlarge"}, f"{_CLUSTER}.InstanceType", "ml.m5.4xlarge"),
    ({"volume_gb": 77}, f"{_CLUSTER}.VolumeSizeInGB", 77),
    ({"volume_kms_key": KEY}, f"{_CLUSTER}.VolumeKmsKeyId", KEY),
    ({"max_runtime": 4321}, "StoppingCondition.MaxRuntimeInSeconds", 4321),
    ({"image": IMAGE + "2"}, "AppSpecification.ImageUri", IMAGE + "2"),
    ({"python": "/opt/python"}, "AppSpecification.ContainerEntrypoint", ["/opt/python", "-m", "dovetail_aws.sagemaker_entry"]),
    ({"variables": {"A": "b"}}, "Environment.A", "b"),
    ({"secrets_in": "environment"}, "Environment.B", "a-planted-secret"),
    (NETWORK, "NetworkConfig", VPC),
    ({"tags": {"team": "fraud"}}, "Tags.team", "fraud"),
]
TRAINING_SETTINGS: list[tuple[dict[str, Any], str, Any]] = [
    ({"role": f"{ROLE}-2"}, "RoleArn", f"{ROLE}-2"),
    ({"instance_type": "ml.p4d.24xlarge"}, "ResourceConfig.InstanceType", "ml.p4d.24xlarge"),
    ({"volume_gb": 77}, "ResourceConfig.VolumeSizeInGB", 77),
    ({"volume_kms_key": KEY}, "ResourceConfig.VolumeKmsKeyId", KEY),
    ({"max_runtime": 4321}, "StoppingCondition", {"MaxRuntimeInSeconds": 4321}),
    ({"image": IMAGE + "2"}, "AlgorithmSpecification.TrainingImage", IMAGE + "2"),
    ({"python": "/opt/python"}, "AlgorithmSpecification.ContainerEntrypoint", ["/opt/python", "-m", "dovetail_aws.sagemaker_entry"]),
    ({"variables": {"A": "b"}}, "Environment.A", "b"),
    ({"secrets_in": "environment"}, "Environment.B", "a-planted-secret"),
    (NETWORK, "VpcConfig", VPC["VpcConfig"]),
    ({"tags": {"team": "fraud"}}, "Tags.team", "fraud"),
    ({"spot": True}, "EnableManagedSpotTraining", True),
    ({"spot": True, "spot_wait": 60, "max_runtime": 600}, "StoppingCondition", {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 660}),
    ({"keep_alive": 900}, "ResourceConfig.KeepAlivePeriodInSeconds", 900),
    ({"output_path": "s3://other/out"}, "OutputDataConfig.S3OutputPath", "s3://other/out"),
    ({"output_kms_key": KEY}, "OutputDataConfig.KmsKeyId", KEY),
    ({"private_registry": True, **NETWORK}, "AlgorithmSpecification.TrainingImageConfig", {"TrainingRepositoryAccessMode": "Vpc"}),
]


@pytest.mark.parametrize("said_by", ["configuration", "settings of the step"])
@pytest.mark.parametrize(("given", "place", "wanted"), SETTINGS, ids=[" ".join(given) for given, _, _ in SETTINGS])
def test_a_setting_is_in_the_processing_job(make: Make, sagemaker: SageMakerService, given: dict[str, Any], place: str, wanted: Any, said_by: str) -> None:
    operator, job = (make(**given), JOB) if said_by == "configuration" else (make(), Job("train-1", ["x"], secrets=JOB.secrets, settings=given))
    assert at(asked(sagemaker, operator, job), place) == wanted


@pytest.mark.parametrize("said_by", ["configuration", "settings of the step"])
@pytest.mark.parametrize(("given", "place", "wanted"), TRAINING_SETTINGS, ids=[" ".join(given) for given, _, _ in TRAINING_SETTINGS])
def test_a_setting_is_in_the_training_job(make: Make, sagemaker: SageMakerService, given: dict[str, Any], place: str, wanted: Any, said_by: str) -> None:
    given = {**TRAINING, **given}
    operator, job = (make(**given), JOB) if said_by == "configuration" else (make(), Job("train-1", ["x"], secrets=JOB.secrets, settings=given))
    assert at(asked(sagemaker, operator, job), place) == wanted


def test_no_field_is_without_a_test_of_what_it_does() -> None:
    of_connections = {"region", "endpoint_url", "profile", "key", "secret", "token", "connect_timeout", "read_timeout", "attempts"}
    tried = {name for given, _, _ in (*SETTINGS, *TRAINING_SETTINGS) for name in given} | {"job_type", "poll"}
    assert {each.name for each in fields(SageMakerStepOperator)} - of_connections == tried


def test_a_job_has_what_its_step_asks_for(make: Make, sagemaker: SageMakerService) -> None:
    job = Job(
        "train-1", ["-c", "pass"], image=IMAGE, variables={"A": "1"}, secrets={"B": "2"}, credentials={"C": "3"}, timeout=90.5,
        resources=Resources(cpu=3.5, memory="20GiB", disk="100GiB"), labels={"dovetail.run": "01j", "dovetail.run-name": "größe, ok?"},
    )  # fmt: skip
    found = asked(sagemaker, make(), job)
    assert found["ProcessingJobName"] == "train-1"
    assert found["ProcessingResources"]["ClusterConfig"] == {"InstanceCount": 1, "InstanceType": "ml.r5.xlarge", "VolumeSizeInGB": 100}
    assert found["StoppingCondition"] == {"MaxRuntimeInSeconds": 91 + int(BEGINNING)}
    assert found["Environment"] == {"A": "1", "C": "3", entry.SECRETS: f"{REGION}:dovetail/jobs/train-1"}
    assert found["AppSpecification"]["ContainerArguments"] == ["-c", "pass"]
    assert {each["Key"]: each["Value"] for each in found["Tags"]} == {"dovetail.run": "01j", "dovetail.run-name": "größe_ ok_"}


def test_a_job_has_its_roles_credentials_and_not_the_submitters(make: Make, sagemaker: SageMakerService) -> None:
    handed = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "AWS_REGION": "eu-west-3"}
    found = asked(sagemaker, make(), Job("a", ["x"], credentials=handed))
    assert found["Environment"] == {"AWS_REGION": "eu-west-3"}


def test_secrets_are_in_no_request_of_a_job_and_last_as_long_as_it(make: Make, sagemaker: SageMakerService) -> None:
    manager = asking("secretsmanager", sagemaker.url)
    running = make(tags={"team": "fraud"}).start(JOB)
    again = make().start(JOB)
    assert again.address == running.address
    assert "a-planted-secret" not in json.dumps(sagemaker.requests)
    found = manager.describe_secret(SecretId="dovetail/jobs/train-1")
    assert json.loads(manager.get_secret_value(SecretId=found["ARN"])["SecretString"]) == {"B": "a-planted-secret"}
    assert found["Tags"] == [{"Key": "team", "Value": "fraud"}]
    running.close()
    again.close()
    with pytest.raises(manager.exceptions.ResourceNotFoundException):
        manager.describe_secret(SecretId="dovetail/jobs/train-1")


def test_a_job_that_is_refused_leaves_no_secret(make: Make, sagemaker: SageMakerService) -> None:
    manager = asking("secretsmanager", sagemaker.url)
    with sagemaker.refusing("CreateProcessingJob", "ValidationException", "no"), pytest.raises(AwsError):
        make().start(JOB)
    with pytest.raises(manager.exceptions.ResourceNotFoundException):
        manager.describe_secret(SecretId="dovetail/jobs/train-1")


def test_moto_takes_a_job_and_tells_it_as_it_was_asked_for(s3: Emulator, make: Make) -> None:
    for more in ({}, TRAINING):
        operator = make(endpoint_url=s3.url, instance_type="ml.m5.xlarge", tags={"team": "fraud"}, **more)
        running = operator.start(Job(f"moto-{len(more)}", ["-c", "pass"], variables={"A": "1"}))
        kind = "training" if more else "processing"
        assert running.address.endswith(f":{kind}-job/moto-{len(more)}")
        assert running.wait(5) == 0
        assert running.described()["RoleArn"] == ROLE
        assert asking("sagemaker", s3.url).list_tags(ResourceArn=running.address)["Tags"] == [{"Key": "team", "Value": "fraud"}]


# -- machines --------------------------------------------------------------------------------------------------------------

CHOSEN = [
    (Resources(), "ml.t3.medium"),
    (Resources(cpu=2, memory="4GiB"), "ml.t3.medium"),
    (Resources(cpu=2, memory="5GiB"), "ml.t3.large"),
    (Resources(cpu=4), "ml.c5.xlarge"),
    (Resources(memory="16GiB"), "ml.r5.large"),
    (Resources(cpu=4, memory="10GiB"), "ml.m5.xlarge"),
    (Resources(cpu=0.5, memory="700GiB"), "ml.r5.24xlarge"),
    (Resources(gpu=1), "ml.g4dn.xlarge"),
    (Resources(gpu=1, gpu_type="nvidia-l4"), "ml.g6.xlarge"),
    (Resources(gpu=1, gpu_type="A10G", memory="100GiB"), "ml.g5.8xlarge"),
    (Resources(gpu=4), "ml.g4dn.12xlarge"),
    (Resources(gpu=8, gpu_type="nvidia-v100"), "ml.p3.16xlarge"),
]


@pytest.mark.parametrize(("resources", "name"), CHOSEN, ids=[name for _, name in CHOSEN])
def test_the_smallest_machine_that_fits_is_chosen(make: Make, sagemaker: SageMakerService, resources: Resources, name: str) -> None:
    found = asked(sagemaker, make(), Job("a", ["x"], resources=resources))
    assert at(found, f"{_CLUSTER}.InstanceType") == name


@pytest.mark.parametrize("resources", [Resources(cpu=200), Resources(memory="2TiB"), Resources(gpu=9), Resources(gpu=1, gpu_type="tpu")])
def test_what_no_machine_has_is_refused_before_anything_is_submitted(make: Make, sagemaker: SageMakerService, resources: Resources) -> None:
    with pytest.raises(ConfigurationError, match="No instance type .* has .* Ask for less, name another GPU .*instance_type"):
        make().start(Job("a", ["x"], resources=resources))
    assert sagemaker.requests == []


def test_a_machine_that_has_less_than_the_step_asks_for_is_refused(make: Make, sagemaker: SageMakerService) -> None:
    with pytest.raises(ConfigurationError, match="ml.m5.large has 2 cores, 8 GiB, and the step asks for 8 cores"):
        make(instance_type="ml.m5.large").start(Job("a", ["x"], resources=Resources(cpu=8)))
    assert sagemaker.requests == []
    assert asked(sagemaker, make(instance_type="ml.g5.xlarge"), Job("a", ["x"], resources=Resources(cpu=4)))


def test_what_trains_only_is_not_chosen_for_processing() -> None:
    wanted = Resources(gpu=8, gpu_type="nvidia-a100")
    assert smallest(wanted, "training") == "ml.p4d.24xlarge"
    with pytest.raises(ConfigurationError):
        smallest(wanted, "processing")


def test_the_table_holds_machines_that_the_service_has() -> None:
    shapes = model()["shapes"]
    assert {each.name for each in INSTANCES if not each.training_only} - set(shapes["ProcessingInstanceType"]["enum"]) == set()
    assert {each.name for each in INSTANCES} - set(shapes["TrainingInstanceType"]["enum"]) == set()
    assert {each.name for each in INSTANCES if each.training_only} & set(shapes["ProcessingInstanceType"]["enum"]) == set()


# -- texts within limits ---------------------------------------------------------------------------------------------------


def test_the_limits_are_those_of_the_service() -> None:
    shapes = model()["shapes"]
    for prefix in ("", "Training"):
        assert {shapes[f"{prefix}Container{name}"]["max"] for name in ("Arguments", "Entrypoint")} == {requests.ARGUMENTS}
        assert {shapes[f"{prefix}Container{name}"]["max"] for name in ("Argument", "EntrypointString")} == {requests.ARGUMENT}
    for kind in ("processing", "training"):
        assert shapes[f"{kind.capitalize()}EnvironmentValue"]["max"] == requests.VALUE[kind]
        assert shapes[f"{kind.capitalize()}EnvironmentMap"]["max"] == requests.ARGUMENTS
    assert shapes["TagList"]["max"] == requests.TAGS
    assert shapes["ProcessingMaxRuntimeInSeconds"]["max"] == requests.LONGEST["processing"]


LONG = {
    "long": {"A": "x" * 5000, "B": "short"},
    "odd": {"A": "größe\n数据", "B-C.d": "1"},
    "many": {f"V{number}": str(number) for number in range(150)},
    "random": {"A": "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(1500))},
}


@pytest.mark.parametrize("job_type", ["processing", "training"])
@pytest.mark.parametrize("kind", LONG)
def test_what_is_longer_than_the_service_takes_arrives_whole(make: Make, sagemaker: SageMakerService, kind: str, job_type: str) -> None:
    command = ["-m", "dovetail.execution", "s3:///runs/x?path=" + "y" * 3000, "größe"]
    found = asked(sagemaker, make(**{**TRAINING, "job_type": job_type}), Job("a", command, variables=LONG[kind]))
    app = found.get("AppSpecification") or found["AlgorithmSpecification"]
    environ = dict(found["Environment"])
    entry.take_variables(environ)
    assert environ == LONG[kind]
    assert entry.take_command(app["ContainerArguments"]) == command


def test_what_fits_is_left_readable(make: Make, sagemaker: SageMakerService) -> None:
    found = asked(sagemaker, make(), Job("a", JOB.command, variables={"A": "1", "B": "x" * 257}))
    assert found["AppSpecification"]["ContainerArguments"] == list(JOB.command)
    assert found["Environment"]["A"] == "1"
    assert "B" not in found["Environment"]


def test_more_than_can_be_packed_is_refused_before_anything_is_submitted(make: Make, sagemaker: SageMakerService) -> None:
    import random

    noise = "".join(random.Random(0).choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", k=60_000))
    with pytest.raises(ConfigurationError, match="more than SageMaker takes .100 of 256. even when they are packed"):
        make().start(Job("a", ["x"], variables={"A": noise}))
    with pytest.raises(ConfigurationError, match="command line of .* more than SageMaker takes"):
        make().start(Job("a", [noise]))
    with pytest.raises(ConfigurationError, match="There are 56 tags"):
        make(tags={str(number): "" for number in range(50)}).start(Job("a", ["x"], labels={f"l{number}": "" for number in range(6)}))
    with pytest.raises(ConfigurationError, match="SageMaker ends a processing job after 777600 s"):
        make().start(Job("a", ["x"], timeout=800_000))
    assert sagemaker.requests == []


def test_the_entry_runs_the_worker_with_what_came_in_pieces(tmp_path: Any) -> None:
    import os
    import subprocess

    pieces = [entry.packed({"A": "größe", "B": "x" * 900})[start : start + 256] for start in range(0, 10_000, 256)]
    environ = {**os.environ, **{f"{entry.VARIABLE}{number}": piece for number, piece in enumerate(pieces) if piece}}
    code = "import os, sys; sys.exit((os.environ['A'], len(os.environ['B']), any(n.startswith('DOVETAIL_PIECE_') for n in os.environ)) != ('größe', 900, False) or 75)"
    command = [sys.executable, "-m", "dovetail_aws.sagemaker_entry", entry.PIECES, entry.packed(["-c", code])]
    assert subprocess.run(command, env=environ).returncode == 75


# -- refused before anything is submitted ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"role": "dovetail"}, "Write it as arn:aws:iam::123456789012:role/NAME"),
        ({"instance_type": "m5.large"}, "as ml.m5.large"),
        ({"spot": True}, "`spot` is for training jobs alone"),
        ({"keep_alive": 60}, "`keep_alive` is for training jobs alone"),
        ({"private_registry": True}, "`private_registry` is for training jobs alone"),
        ({"output_kms_key": KEY}, "`output_kms_key` is for training jobs alone"),
        ({"job_type": "training"}, "Training jobs need an `output_path`"),
        ({**TRAINING, "spot": True, "keep_alive": 60}, "do not go together"),
        ({**TRAINING, "keep_alive": 30_000}, "from 0 to 21600"),
        ({**TRAINING, "private_registry": True}, "Set `subnets`"),
        ({"subnets": ["subnet-1"]}, "go together"),
        ({"volume_gb": 0}, "1 or more"),
        ({"tags": {"aws:x": ""}}, "does not begin with aws:"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(make: Make, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(**fields)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("python:3.11", "pulls images from ECR alone, and python:3.11 is not there.*dovetail container-registry register NAME --flavor ecr"),
        ("ghcr.io/team/dovetail:1", "pulls images from ECR alone"),
        (IMAGE.replace(REGION, "us-east-1"), f"is in region us-east-1, and SageMaker runs jobs in {REGION}.*docker push .*{REGION}"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_known_before(make: Make, sagemaker: SageMakerService, image: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make().start(Job("a", ["x"], image=image))
    with pytest.raises(ImageError, match=said):
        make().versions_in(image)
    assert sagemaker.requests == []
    assert len(make(image=image).check()) == 1
    assert make().versions_in(IMAGE) is None


def test_secrets_of_the_configuration_are_in_no_request(make: Make, sagemaker: SageMakerService) -> None:
    make(key=Secret("AKIAPLANTED"), secret=Secret("planted-5f3")).start(JOB)
    assert "planted-5f3" not in json.dumps(sagemaker.requests)
    assert "AKIAPLANTED" not in json.dumps(sagemaker.requests)
