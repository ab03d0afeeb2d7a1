"""The store on Secret Manager keeps the contract, and asks the service as its reference has it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google_fake import GoogleFake, Problem
from secrets_fake import SecretsFake

from dovetail.errors import ConfigurationError
from dovetail.testing import SecretStoreContract
from dovetail_gcp.errors import GoogleError
from dovetail_gcp.secret_store import GcpSecretStore


class TestGcpSecretStore(SecretStoreContract):
    @pytest.fixture
    def secret_store(self, google: GoogleFake) -> GcpSecretStore:
        SecretsFake(google)
        return store_at(google)


def store_at(google: GoogleFake, **fields: Any) -> GcpSecretStore:
    return GcpSecretStore(project="p", endpoint_url=google.url, **fields).called("secrets", "gcp")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("fields", "replication"),
    [
        ({}, {"automatic": {}}),
        ({"kms_key": "k"}, {"automatic": {"customerManagedEncryption": {"kmsKeyName": "k"}}}),
        ({"location": "europe-west4"}, {"userManaged": {"replicas": [{"location": "europe-west4"}]}}),
        (
            {"location": "europe-west4", "kms_key": "k"},
            {"userManaged": {"replicas": [{"location": "europe-west4", "customerManagedEncryption": {"kmsKeyName": "k"}}]}},
        ),
    ],
)
def test_where_and_how_a_secret_is_kept_is_in_the_request(google: GoogleFake, fields: dict[str, Any], replication: dict[str, Any]) -> None:
    fake = SecretsFake(google)
    store_at(google, **fields).put("db", {"password": "x"})
    assert fake.secrets["dovetail-db"]["replication"] == replication


def test_a_secret_that_another_tool_made_can_be_read(google: GoogleFake) -> None:
    fake = SecretsFake(google)
    fake.secrets["token"], fake.versions["token"] = {"name": "projects/1/secrets/token"}, [{"data": base64.b64encode(b"s3cret\n").decode()}]
    store = store_at(google, prefix="")
    assert store.names() == ["token"]
    assert {key: value.reveal() for key, value in store.get("token").items()} == {"value": "s3cret\n"}


def test_more_secrets_than_one_page_are_listed(google: GoogleFake) -> None:
    fake = SecretsFake(google)
    for number in range(230):
        fake.secrets[f"dovetail-s{number}"] = {"name": f"projects/1/secrets/dovetail-s{number}"}
    assert len(store_at(google).names()) == 230


@pytest.mark.parametrize(("method", "role"), [("get", "secretAccessor"), ("delete", "admin")])
def test_rights_that_lack_are_told_with_the_role_that_gives_them(google: GoogleFake, method: str, role: str) -> None:
    SecretsFake(google)
    google.refused.append((".*/secrets/.*", Problem(403, "PERMISSION_DENIED", "Permission denied", "IAM_PERMISSION_DENIED")))
    with pytest.raises(GoogleError, match=f"add-iam-policy-binding p --member=user:EMAIL --role=roles/secretmanager.{role}"):
        getattr(store_at(google), method)("db")


def test_a_prefix_that_no_id_can_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        GcpSecretStore(project="p", prefix="a/b")
