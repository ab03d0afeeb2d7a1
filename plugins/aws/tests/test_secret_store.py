"""Secrets Manager, by moto, keeps the contract of secret stores."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from conftest import KEYS, asking
from dovetail.errors import ConfigurationError, NotFound
from dovetail.stack.checks import DEADLINE
from dovetail.testing import SecretStoreContract
from dovetail_aws.secret_store import AwsSecretStore
from dovetail_aws.service_errors import Denied
from emulator import Emulator
from sagemaker_service import REGION, SageMakerService

Make = Callable[..., AwsSecretStore]


@pytest.fixture
def make(s3: Emulator) -> Make:
    prefix = f"trial-{uuid.uuid4().hex}/"

    def make(**given: Any) -> AwsSecretStore:
        made = AwsSecretStore(**{"endpoint_url": s3.url, "region": REGION, "prefix": prefix, **KEYS, **given})
        return made.called("secrets", "aws")  # type: ignore[return-value]

    return make


class TestAwsSecretStore(SecretStoreContract):
    @pytest.fixture
    def secret_store(self, make: Make) -> AwsSecretStore:
        return make()


def test_each_setting_is_in_the_request(make: Make, s3: Emulator) -> None:
    store = make(kms_key="alias/fraud", tags={"team": "fraud"})
    store.put("größe 1", {"user": "me"})
    (found,) = [each for each in asking("secretsmanager", s3.url).list_secrets()["SecretList"] if each["Name"].startswith(store.prefix)]
    assert found["Name"] == f"{store.prefix}gr=c3=b6=c3=9fe=201"
    assert found["KmsKeyId"] == "alias/fraud"
    assert found["Tags"] == [{"Key": "team", "Value": "fraud"}]
    assert store.names() == ["größe 1"]
    assert json.loads(asking("secretsmanager", s3.url).get_secret_value(SecretId=found["Name"])["SecretString"]) == {"user": "me"}


def test_a_secret_that_can_be_recovered_is_gone_until_it_is_put_again(make: Make, s3: Emulator) -> None:
    store = make(recovery_days=7)
    store.put("a", {"key": "old", "other": "x"})
    store.delete("a")
    assert asking("secretsmanager", s3.url).describe_secret(SecretId=f"{store.prefix}a")["DeletedDate"]
    assert store.names() == []
    with pytest.raises(NotFound):
        store.get("a")
    with pytest.raises(NotFound):
        store.delete("a")
    store.put("a", {"key": "new"})
    assert {key: value.reveal() for key, value in store.get("a").items()} == {"key": "new"}


def test_names_beyond_one_page_are_listed(make: Make) -> None:
    store = make()
    for number in range(103):
        store.put(f"s{number}", {"k": "v"})
    assert len(store.names()) == 103


def test_what_others_wrote_otherwise_is_told_without_its_value(make: Make, s3: Emulator) -> None:
    store = make()
    asking("secretsmanager", s3.url).create_secret(Name=f"{store.prefix}plain", SecretString="planted-text")
    with pytest.raises(ConfigurationError, match="is not a JSON object") as raised:
        store.get("plain")
    assert "planted-text" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="keeps 65536"):
        store.put("long", {"key": "x" * 70_000})


def test_missing_rights_are_told_with_their_cure(make: Make, sagemaker: SageMakerService) -> None:
    sagemaker.__dict__["GetSecretValue"] = lambda _: {}
    store = make(endpoint_url=sagemaker.url)
    message = "User: arn:aws:iam::123456789012:user/jane is not authorized to perform: secretsmanager:GetSecretValue on resource: dovetail/a because …"
    with sagemaker.refusing("GetSecretValue", "AccessDeniedException", message), pytest.raises(Denied, match="put-user-policy --user-name jane .*GetSecretValue"):
        store.get("a")


@pytest.mark.parametrize("fields", [{"prefix": "a b"}, {"recovery_days": 3}, {"recovery_days": 31}])
def test_fields_that_cannot_be_are_refused(make: Make, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"`{next(iter(fields))}` is"):
        make(**fields)


def test_the_check_says_what_is_wrong_within_its_deadline(make: Make, s3: Emulator) -> None:
    began = time.monotonic()
    (problem,) = make(endpoint_url="http://192.0.2.1:9").check()
    assert time.monotonic() - began < DEADLINE
    assert "192.0.2.1:9" in problem
    (problem,) = AwsSecretStore(endpoint_url=s3.url, region=REGION).check()
    assert "Unable to locate credentials" in problem
