"""Servers that speak S3, on loopback, for all tests of a session; nothing of this user's own credentials."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

sys.path.insert(0, str(Path(__file__).parent))

from dovetail.components import Secret
from dovetail.testing.own_steps import OwnSteps, project_with
from emulator import Emulator, emulator
from front import Front, front
from sagemaker_service import ACCOUNT, REGION, SageMakerService, serving

KEYS = {"key": Secret("testing"), "secret": Secret("testing-secret-8f3a")}


@pytest.fixture(autouse=True)
def own_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, file or machine's role of this user's says who asks, or where."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture(scope="session")
def s3() -> Iterator[Emulator]:
    """moto, which lets everybody do everything, with a bucket `trial`."""
    with emulator() as running:
        yield running


@pytest.fixture(scope="session")
def guarded() -> Iterator[Emulator]:
    """moto, which lets nobody do anything once its bucket has been made."""
    with emulator(INITIAL_NO_AUTH_ACTION_COUNT="1") as running:
        yield running


@pytest.fixture
def watched(s3: Emulator) -> Iterator[Front]:
    """The same server, with somebody before it who notes every request and can let it fail."""
    with front(s3.port) as standing:
        yield standing


@pytest.fixture
def make_store(s3: Emulator) -> Callable[..., Any]:
    """A store below a prefix of the test's own; fields may be given."""
    from dovetail_aws.artifact_store import S3ArtifactStore

    prefix = uuid.uuid4().hex

    def make(**fields: Any) -> S3ArtifactStore:
        given = {"path": f"s3://trial/{prefix}", "endpoint_url": s3.url, **KEYS, **fields}
        store = S3ArtifactStore(**{name: value for name, value in given.items() if value is not None})
        store.called("bucket", "s3")
        return store

    return make


@pytest.fixture
def store(make_store: Callable[..., Any], watched: Front) -> Any:
    """A store whose requests are seen."""
    return make_store(endpoint_url=watched.url)


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A container engine; where none can be had, tests say why and are skipped."""
    testing = pytest.importorskip("dovetail_docker.testing")
    try:
        started = testing.DockerEngine().__enter__()
    except testing.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        started.__exit__()


@pytest.fixture(scope="session")
def job_image(engine: Any) -> str:
    """This Python under a name of ECR; an environment is mounted into it."""
    from dovetail_docker.testing import python_image

    name = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/dovetail"
    engine.client().images.get(python_image(engine)).tag(name, "trial")
    return f"{name}:trial"


@pytest.fixture(scope="session")
def role(s3: Emulator) -> str:
    """ARN of a role that SageMaker may assume."""
    return make_role(s3.url, "dovetail", "sagemaker.amazonaws.com")


def make_role(url: str, name: str, trusted: str) -> str:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}]}
    made = asking("iam", url).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def asking(service: str, url: str) -> Any:
    """A client of the tests' own."""
    session = Session()
    session.set_credentials("testing", "testing-secret-8f3a")
    return session.create_client(service, region_name=REGION, endpoint_url=url)


@pytest.fixture(scope="session")
def running(s3: Emulator, role: str, engine: Any) -> Iterator[SageMakerService]:
    """SageMaker that runs what it is asked for, and moto for all else."""
    from dovetail_docker.testing import mounted_sources

    with serving(SageMakerService(s3.port, engine, mounted_sources())) as service:
        yield service


@pytest.fixture
def sagemaker(s3: Emulator, role: str) -> Iterator[SageMakerService]:
    """SageMaker that notes what it is asked for, and runs nothing."""
    with serving(SageMakerService(s3.port)) as service:
        yield service


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnSteps]:
    with project_with(Path(__file__).with_name("bucket_steps.py"), tmp_path, monkeypatch) as made:
        yield made
