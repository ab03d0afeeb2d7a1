"""Each field of the store shows in the request that the service received, and each complaint of the service becomes a sentence with its cure."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.components.transfers import Denied, ObjectStoreError, Unreachable
from dovetail.errors import ConfigurationError
from dovetail.stack.checks import DEADLINE
from dovetail_gcp.artifact_store import GcsArtifactStore
from dovetail_gcp.uploads import CHUNK
from storage_front import Fault, Front, said, times

KMS = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
SAID = [
    (403, "forbidden", Denied, "gcloud storage buckets add-iam-policy-binding gs://trial --role=roles/storage.objectUser"),
    (401, "authError", Denied, "gcloud auth application-default login"),
    (403, "accessNotConfigured", Denied, "gcloud services enable"),
    (403, "accountDisabled", Denied, "gcloud billing projects link"),
    (403, "quotaExceeded", Unreachable, "gcloud beta quotas info list"),
    (429, "rateLimitExceeded", Unreachable, "Try again later"),
    (503, "backendError", Unreachable, "Try again later"),
    (404, "notFound", ObjectStoreError, "gcloud storage buckets create gs://trial"),
    (400, "invalid", ObjectStoreError, "Check the fields"),
]


@pytest.mark.parametrize(("status", "reason", "kind", "cure"), SAID, ids=[reason for _, reason, _, _ in SAID])
def test_what_the_service_says_is_told_with_its_cure(
    make_store: Callable[..., Any], watched: Front, status: int, reason: str, kind: type[Exception], cure: str
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    with watched.faulty(lambda _: said(status, reason, "The words of the service.")):
        with pytest.raises(kind) as raised:
            store.overwrite("some/record.json", b"x")
        (problem,) = store.check()
    assert type(raised.value) is kind
    assert f"Writing 'some/record.json' in bucket 'trial' at {watched.url} was refused ({status} {reason}: The words of the service)." in str(raised.value)
    assert cure in str(raised.value)
    assert cure in problem


def test_a_bucket_that_does_not_exist_is_told_whatever_is_asked(make_store: Callable[..., Any]) -> None:
    store = make_store(path="gs://there-is-none/x")
    calls: list[Callable[[], Any]] = [
        lambda: store.create("a", b"x"), lambda: store.read("a"), lambda: store.stat("a"), lambda: list(store.scan("a")),
        lambda: store.overwrite("a", b"x"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ObjectStoreError, match="gcloud storage buckets create gs://there-is-none"):
            call()
    (problem,) = store.check()
    assert problem.endswith("Create it by `gcloud storage buckets create gs://there-is-none`, or correct `path`.")


def test_too_many_changes_of_one_object_are_waited_for(store: GcsArtifactStore, watched: Front) -> None:
    """The service takes one a second."""
    with watched.faulty(times(2, said(429, "rateLimitExceeded", "The object exceeded the rate limit for object mutation operations."))):
        store.overwrite("runs/x/heartbeat", b"x")
    assert watched.verbs() == ["INSERT"] * 3


def test_a_quota_is_not_asked_for_again(store: GcsArtifactStore, watched: Front) -> None:
    with watched.faulty(lambda _: said(403, "quotaExceeded")), pytest.raises(Unreachable):
        store.overwrite("a", b"x")
    assert watched.verbs() == ["INSERT"]


def test_the_fields_show_in_the_requests(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, kms_key=KMS)
    store.create("größe/a b+c", b"x")
    store.overwrite("b", b"x")
    store.create("large", b"x" * (CHUNK + 1))
    sent = [request for request in watched.requests if request.verb in ("INSERT", "BEGIN")]
    assert [request.verb for request in sent] == ["INSERT", "INSERT", "BEGIN"]
    assert all(request.query["kmsKeyName"] == [KMS] for request in sent)
    assert [request.query.get("ifGenerationMatch") for request in sent] == [["0"], None, ["0"]]
    assert [request.query["name"][0].rpartition(store._prefix)[2] for request in sent] == ["größe/a b+c", "b", "large"]
    assert sent[2].headers["x-upload-content-length"] == str(CHUNK + 1)
    assert len(json.loads(sent[2].body)["metadata"]["dovetail-writer"]) == 32
    assert {request.headers["user-agent"] for request in watched.requests} == {"dovetail-gcp"}


def test_a_large_object_is_sent_in_chunks_that_the_service_takes(store: GcsArtifactStore, watched: Front) -> None:
    store.create("a", b"x" * (2 * CHUNK + 5))
    assert watched.verbs() == ["GET", "BEGIN", "PART", "PART", "PART"]
    assert [request.headers["content-range"] for request in watched.requests[2:]] == [
        f"bytes 0-{CHUNK - 1}/{2 * CHUNK + 5}",
        f"bytes {CHUNK}-{2 * CHUNK - 1}/{2 * CHUNK + 5}",
        f"bytes {2 * CHUNK}-{2 * CHUNK + 4}/{2 * CHUNK + 5}",
    ]
    assert CHUNK % (256 << 10) == 0


def test_an_upload_that_was_not_finished_is_given_up(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    with watched.faulty(lambda request: Fault(drop=True) if request.verb == "PART" else None), pytest.raises(ConnectionError):
        store.create("a", b"x" * (CHUNK + 1))
    assert watched.verbs() == ["GET", "BEGIN", "PART", "ABORT"]


def test_the_emulators_variable_says_where_the_service_is(make_store: Callable[..., Any], watched: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", watched.url.removeprefix("http://"))
    store = make_store(endpoint_url=None)
    assert store.create("a", b"x") is True
    assert watched.verbs() == ["INSERT"]
    assert store.uri("a").startswith("gs://trial/")


def test_a_bucket_in_another_region_is_told(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, location="europe-west4")
    lies = Fault(answer=(200, b'{"location": "US-CENTRAL1"}'))
    with watched.faulty(lambda request: lies if request.path.endswith("/b/trial") else None):
        (problem,) = store.check()
    assert "names location europe-west4, but bucket 'trial' lies in us-central1" in problem
    assert "gcloud storage buckets create" in problem
    with watched.faulty(lambda request: said(403, "forbidden") if request.path.endswith("/b/trial") else None):
        assert store.check() == []


@pytest.mark.parametrize("path", ["bucket/prefix", "gs:///prefix", "gs://", "s3://bucket/x", "gs://bucket?x=1", "gs://key:secret@bucket/x", "gs://a/b#c"])
def test_a_path_that_names_no_bucket_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="Write it as gs://bucket/prefix") as raised:
        GcsArtifactStore(path=path)
    assert "key:secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"endpoint_url": "no address"}, "Write it as http://host:port"),
        ({"attempts": 0}, "`attempts`"),
        ({"max_concurrency": 0}, "`max_concurrency`"),
        ({"kms_key": "mine"}, "Write it whole"),
    ],
)
def test_fields_that_cannot_be_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        GcsArtifactStore(path="gs://bucket", **fields)


def test_reading_its_fields_imports_no_library_of_googles() -> None:
    code = (
        "import sys; from dovetail_gcp.artifact_store import GcsArtifactStore as S; S(path='gs://bucket/x').configuration()\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('google', 'requests', 'urllib3', 'cryptography')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_never_answers_is_found_by_the_check_within_its_deadline(store: Any, watched: Front) -> None:
    began = time.monotonic()
    with watched.faulty(lambda _: Fault(delay=6.0)):
        (problem,) = store.check()
    assert time.monotonic() - began < DEADLINE
    assert "timed out" in problem
