"""Whatever goes wrong between here and the service is told in a sentence with its cure, as the kind of error that the interface names."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from conftest import KEYS
from dovetail.components import Secret
from dovetail.stack.checks import DEADLINE
from dovetail.errors import ConfigurationError, DovetailError, StoreError
from dovetail_aws.artifact_store import S3ArtifactStore
from dovetail_aws.errors import Denied, NoAnswer, S3Error, Unreachable, translated
from emulator import Emulator, free_port
from front import Fault, Front, said

SAID = [
    (403, "AccessDenied", Denied, "Allow s3:GetObject and s3:ListBucket on the bucket"),
    (403, "InvalidAccessKeyId", Denied, "Check `key` and `secret`"),
    (403, "SignatureDoesNotMatch", Denied, "Check `key` and `secret`"),
    (403, "RequestTimeTooSkewed", Denied, "Set this machine's clock"),
    (400, "ExpiredToken", Denied, "Sign in again"),
    (400, "InvalidToken", Denied, "Sign in again"),
    (404, "NoSuchBucket", S3Error, "Create the bucket, or correct `path`"),
    (301, "PermanentRedirect", S3Error, "Set `region` to the bucket's own"),
    (400, "AuthorizationHeaderMalformed", S3Error, "Set `region` to the bucket's own"),
    (501, "NotImplemented", S3Error, "The service lacks something of S3"),
    (503, "SlowDown", Unreachable, "Try again later"),
    (500, "InternalError", Unreachable, "Try again later"),
]


@pytest.mark.parametrize(("status", "code", "kind", "cure"), SAID, ids=[code for _, code, _, _ in SAID])
def test_what_the_service_says_is_told_with_its_cure(
    make_store: Callable[..., Any], watched: Front, status: int, code: str, kind: type[Exception], cure: str
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    answer = said(status, code, "The words of the service.")
    with watched.faulty(lambda request: answer if request.method == "GET" else None), pytest.raises(kind) as raised:
        store.read("some/record.json")
    assert type(raised.value) is kind
    text = str(raised.value)
    assert cure in text
    assert f"Bucket 'trial' at {watched.url} refused GetObject of 'some/record.json' ({code}: The words of the service)." in text
    assert isinstance(raised.value, DovetailError)


def test_no_bucket_is_found_by_the_check(make_store: Callable[..., Any]) -> None:
    (problem,) = make_store(path="s3://there-is-none/x").check()
    assert "NoSuchBucket" in problem
    assert problem.endswith("Create the bucket, or correct `path`.")


def test_nobody_who_listens_is_found_by_the_check_within_its_deadline(make_store: Callable[..., Any]) -> None:
    began = time.monotonic()
    (problem,) = make_store(endpoint_url=f"http://127.0.0.1:{free_port()}").check()
    assert time.monotonic() - began < DEADLINE
    assert "Could not connect to the endpoint URL" in problem
    assert "Check `endpoint_url` and `region`" in problem


def test_no_answer_in_time_is_a_timeout(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1, read_timeout=0.2)
    with watched.faulty(lambda _: Fault(delay=0.6)), pytest.raises(NoAnswer, match="raise `read_timeout`"):
        store.read("a")
    assert issubclass(NoAnswer, TimeoutError)


def test_what_does_not_speak_s3_is_told(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    page = Fault(answer=(200, b"<!doctype html><p>welcome"))
    with watched.faulty(lambda _: page):
        with pytest.raises(StoreError, match="refused ListObjectsV2 of 'folder'"):
            list(store.scan("folder"))
        assert store.check() != []


def test_no_credentials_at_all_are_told(s3: Emulator) -> None:
    store = S3ArtifactStore(path="s3://trial/x", endpoint_url=s3.url)
    with pytest.raises(Denied, match="Unable to locate credentials.*Set `key` and `secret`, a `profile`, AWS_ACCESS_KEY_ID"):
        store.read("a")
    (problem,) = store.check()
    assert "Unable to locate credentials" in problem


def test_a_profile_that_does_not_exist_is_told(s3: Emulator) -> None:
    (problem,) = S3ArtifactStore(path="s3://trial/x", endpoint_url=s3.url, profile="nobody").check()
    assert "nobody" in problem
    assert "Correct `profile`" in problem


def test_no_error_of_the_client_library_gets_through_as_it_is() -> None:
    made = 0
    for name in dir(botocore.exceptions):
        cls = getattr(botocore.exceptions, name)
        if isinstance(cls, type) and issubclass(cls, botocore.exceptions.BotoCoreError):
            error = cls.__new__(cls)
            Exception.__init__(error, "what it says")
            told = translated(error, "Bucket 'b'", "p")
            assert isinstance(told, S3Error), name
            assert "what it says" in str(told)
            made += 1
    assert made > 50


@pytest.mark.parametrize("path", ["bucket/prefix", "s3:///prefix", "s3://", "https://bucket/prefix", "s3://bucket?x=1", "s3://key:secret@bucket/x"])
def test_a_path_that_names_no_bucket_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="Write it as s3://bucket/prefix") as raised:
        S3ArtifactStore(path=path)
    assert "key:secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "said_of_it"),
    [
        ({"key": Secret("k")}, "`key` and `secret` go together"),
        ({"secret": Secret("s")}, "`key` and `secret` go together"),
        ({"token": Secret("t")}, "`token` belongs to"),
        ({**KEYS, "profile": "p"}, "Set one of them"),
        ({"kms_key": "k", "encryption": "AES256"}, "Leave one of them out"),
        ({"endpoint_url": "no address"}, "Write it as http://host:port"),
        ({"endpoint_url": "minio:9000"}, "Write it as http://host:port"),
        ({"attempts": 0}, "`attempts`"),
        ({"max_concurrency": 0}, "`max_concurrency`"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], said_of_it: str) -> None:
    with pytest.raises(ConfigurationError, match=said_of_it):
        S3ArtifactStore(path="s3://bucket", **fields)


def test_a_path_that_leaves_the_store_is_refused(store: S3ArtifactStore, watched: Front, tmp_path: Path) -> None:
    for path in ("../other", "a/../../b"):
        with pytest.raises(StoreError, match="leaves its artifact store"):
            store.create(path, b"x")
        with pytest.raises(StoreError, match="leaves its artifact store"):
            store.fetch(path, tmp_path / "x")
    assert watched.requests == []
