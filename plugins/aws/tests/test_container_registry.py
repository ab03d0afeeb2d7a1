"""ECR by moto, which answers as its API does and holds no layers; what is pushed with its tokens goes to a registry on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dovetail_docker.image_builder import DockerImageBuilder
from dovetail_docker.testing import LocalRegistry, Unavailable

from conftest import KEYS, asking
from dovetail.components import Secret
from dovetail.errors import ConfigurationError, ImageError
from dovetail.stack.checks import DEADLINE
from dovetail.testing import ContainerRegistryContract
from dovetail_aws.container_registry import EcrRegistry
from emulator import Emulator, free_port
from sagemaker_service import ACCOUNT, REGION, SageMakerService, serving

HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
URI = f"{HOST}/team"


@pytest.fixture
def ecr(s3: Emulator) -> Any:
    return asking("ecr", s3.url)


@pytest.fixture
def make(s3: Emulator) -> Callable[..., EcrRegistry]:
    def make(**given: Any) -> EcrRegistry:
        all_given = {"uri": URI, "endpoint_url": s3.url, **KEYS, **given}
        made = EcrRegistry(**{name: value for name, value in all_given.items() if value is not None})
        return made.called("images", "ecr")  # type: ignore[return-value]

    return make


def manifest_of(reference: str) -> str:
    digest = f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": digest}
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})


class TestEcr(ContainerRegistryContract):
    @pytest.fixture
    def container_registry(self, make: Callable[..., EcrRegistry]) -> EcrRegistry:
        return make()

    @pytest.fixture
    def unreachable(self, make: Callable[..., EcrRegistry]) -> EcrRegistry:
        return make(endpoint_url=f"http://127.0.0.1:{free_port()}", attempts=1)

    @pytest.fixture
    def put(self, container_registry: EcrRegistry, ecr: Any) -> Callable[[str], str]:
        def put(reference: str) -> str:
            container_registry.make_place(reference)
            repository, _, tag = reference.partition("/")[2].rpartition(":")
            return str(ecr.put_image(repositoryName=repository, imageTag=tag, imageManifest=manifest_of(reference))["image"]["imageId"]["imageDigest"])

        return put


# -- repositories ----------------------------------------------------------------------------------------------------------


def test_a_repository_that_is_missing_is_made_as_configured(make: Callable[..., EcrRegistry], ecr: Any) -> None:
    name = uuid.uuid4().hex
    key = "arn:aws:kms:eu-central-1:123456789012:key/0"
    registry = make(immutable_tags=True, scan_on_push=True, kms_key=key, repository_tags={"team": "fraud"})
    reference = registry.reference(name, "1")
    assert registry.find(reference) is None
    registry.make_place(reference)
    registry.make_place(reference)
    (made,) = ecr.describe_repositories(repositoryNames=[f"team/{name}"])["repositories"]
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "team", "Value": "fraud"}]


def test_a_repository_is_left_to_its_owner_where_that_is_wanted(make: Callable[..., EcrRegistry], ecr: Any) -> None:
    name = uuid.uuid4().hex
    registry = make(create_repositories=False)
    registry.make_place(registry.reference(name, "1"))
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_repositories(repositoryNames=[f"team/{name}"])


def test_encryption_is_the_services_own_where_nothing_is_said(make: Callable[..., EcrRegistry], ecr: Any) -> None:
    name = uuid.uuid4().hex
    for encryption in (None, "AES256"):
        make(encryption=encryption).make_place(f"{URI}/{name}-{encryption}".lower() + ":1")
    (made,) = ecr.describe_repositories(repositoryNames=[f"team/{name}-aes256"])["repositories"]
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}


def test_an_image_is_found_by_its_digest_too(make: Callable[..., EcrRegistry], ecr: Any) -> None:
    registry = make()
    reference = registry.reference(uuid.uuid4().hex, "1")
    registry.make_place(reference)
    repository = reference.partition("/")[2].rpartition(":")[0]
    digest = ecr.put_image(repositoryName=repository, imageTag="1", imageManifest=manifest_of(reference))["image"]["imageId"]["imageDigest"]
    assert registry.find(f"{HOST}/{repository}@{digest}") == digest
    with pytest.raises(ImageError, match="whose images begin with"):
        registry.find("ghcr.io/x:1")


# -- tokens ----------------------------------------------------------------------------------------------------------------


class Tokens(SageMakerService):
    """ECR, of which moto's tokens have all expired. `life`: seconds that one has."""

    life = 43_200.0

    def GetAuthorizationToken(self, request: dict[str, Any]) -> dict[str, Any]:
        token = base64.b64encode(f"AWS:token-{len(self.requests)}".encode()).decode()
        return {"authorizationData": [{"authorizationToken": token, "expiresAt": time.time() + self.life, "proxyEndpoint": f"https://{HOST}"}]}


def test_a_token_is_asked_for_once_and_renewed_before_it_expires(make: Callable[..., EcrRegistry], s3: Emulator) -> None:
    with serving(Tokens(s3.port)) as service:
        registry = make(endpoint_url=service.url)
        first = registry.credentials()
        assert first is not None
        assert (first.server, first.username, first.password.reveal()) == (HOST, "AWS", "token-1")
        assert registry.credentials() is first
        service.life = 60.0
        short = make(endpoint_url=service.url)
        seen = {found.password.reveal() for _ in range(3) if (found := short.credentials())}
    assert seen == {"token-2", "token-3", "token-4"}


class EcrsRegistry(LocalRegistry):
    """Lets in who has a token of ECR."""

    user = "AWS"


@pytest.fixture
def standing(s3: Emulator) -> Iterator[LocalRegistry]:
    token = asking("ecr", s3.url).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    try:
        started = EcrsRegistry(base64.b64decode(token).decode().partition(":")[2]).__enter__()
    except Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        started.__exit__()


def test_an_image_is_pushed_with_a_token_and_its_repository_is_there_before(
    standing: LocalRegistry, engine: Any, make: Callable[..., EcrRegistry], ecr: Any
) -> None:
    from dovetail_docker.testing import python_image

    registry = make(uri=f"{standing.uri}/team", region=REGION)
    reference = registry.reference("python", "trial")
    engine.client().images.get(python_image(engine)).tag(reference.rpartition(":")[0], "trial")
    registry.make_place(reference)
    DockerImageBuilder(host=engine.host).called("builder", "docker").push(reference, registry)
    assert ecr.describe_repositories(repositoryNames=["team/python"])["repositories"]
    assert "/v2/team/python/manifests/trial" in standing.log()
    wrong = EcrRegistry(uri=f"{standing.uri}/team", endpoint_url=registry.endpoint_url, region=REGION, **KEYS)
    credentials = registry.credentials()
    assert credentials is not None
    wrong._token = (type(credentials)(credentials.server, "AWS", Secret("wrong")), time.time() + 9999)
    engine.client().images.get(reference).tag(reference.rpartition(":")[0], "never")
    with pytest.raises(ImageError):
        DockerImageBuilder(host=engine.host).called("builder", "docker").push(f"{reference.rpartition(':')[0]}:never", wrong)


# -- configuration ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"uri": "ghcr.io/team", "endpoint_url": None}, "Write it as 123456789012.dkr.ecr.REGION.amazonaws.com/folder"),
        ({"region": "us-east-1"}, f"`uri` is in region {REGION} and `region` is us-east-1"),
        ({"kms_key": "k", "encryption": "AES256"}, "Leave one of them out"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(make: Callable[..., EcrRegistry], fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(**fields)


def test_the_check_says_what_is_wrong_within_its_deadline(make: Callable[..., EcrRegistry], s3: Emulator) -> None:
    began = time.monotonic()
    (problem,) = make(endpoint_url="http://192.0.2.1:9").check()
    assert time.monotonic() - began < DEADLINE
    assert "192.0.2.1:9" in problem
    (problem,) = EcrRegistry(uri=URI, endpoint_url=s3.url).check()
    assert "Unable to locate credentials" in problem
