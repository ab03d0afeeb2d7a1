"""Each call of the store is one request, whatever is there, and what the ledger asks for a step does not grow with the run."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.testing.given import alike
from dovetail.values.plan import Status
from dovetail_aws.artifact_store import S3ArtifactStore
from front import Front, Request

WORKER = 12  # requests of a worker for a step with one input and one output, heartbeats aside
CACHED = 7.6  # requests for each cached step, with the few of the run itself
RUN = 12  # requests for each step that runs in the submitting process

CALLS: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "create": (lambda store: store.create("new", b"x"), ["PUT"]),
    "create where there is one": (lambda store: store.create("there", b"x"), ["PUT"]),
    "read": (lambda store: store.read("there"), ["GET"]),
    "overwrite": (lambda store: store.overwrite("there", b"y"), ["PUT"]),
    "stat": (lambda store: store.stat("there"), ["HEAD"]),
    "stat of nothing": (lambda store: store.stat("nothing"), ["HEAD"]),
    "scan": (lambda store: list(store.scan("folder")), ["LIST"]),
    "folders": (lambda store: store.folders(""), ["LIST"]),
    "walk": (lambda store: list(store.walk("")), ["LIST"]),
    "delete": (lambda store: store.delete("there"), ["DELETE"]),
    "delete of nothing": (lambda store: store.delete("nothing"), ["DELETE"]),
    "delete a folder": (lambda store: store.delete_folder("folder"), ["LIST", "POST+delete"]),
    "delete no folder": (lambda store: store.delete_folder("nowhere"), ["LIST"]),
    "now": (lambda store: store.now(), []),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_one_request(store: S3ArtifactStore, watched: Front, name: str) -> None:
    for path in ("there", "folder/a", "folder/deep/b", "folder/deep/c"):
        store.create(path, b"x")
    call, wanted = CALLS[name]
    with watched.noted() as requests:
        call(store)
    assert [request.verb for request in requests] == wanted


def test_a_small_object_is_fetched_by_one_request(store: S3ArtifactStore, watched: Front, tmp_path: Path) -> None:
    for path, content in (("empty", b""), ("small", b"x" * 100_000)):
        store.create(path, content)
        with watched.noted() as requests:
            store.fetch(path, tmp_path / path)
        assert [request.verb for request in requests] == ["GET"]
        assert (tmp_path / path).read_bytes() == content


def test_a_file_is_created_by_one_request(store: S3ArtifactStore, watched: Front, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    with watched.noted() as requests:
        assert store.create("a", tmp_path / "file") is True
    assert [(request.verb, request.size) for request in requests] == [("PUT", 1_000_000)]
    assert "expect" not in requests[0].headers, "to ask first whether content may come is a round trip"


def test_the_clock_is_that_of_the_service_also_when_nothing_was_asked_before(store: S3ArtifactStore, watched: Front) -> None:
    first = store.now()
    assert watched.verbs() == ["HEAD"]
    store.overwrite("a", b"")
    entry = store.stat("a")
    assert entry is not None
    assert first - 1 <= entry.modified <= store.now() < first + 60


# -- what was sent -----------------------------------------------------------------------------------------------------


def test_a_prefix_keeps_stores_of_one_bucket_apart(make_store: Callable[..., Any], store: S3ArtifactStore) -> None:
    beside = make_store(path=f"{store.path}-2/deeper/")
    whole = make_store(path="s3://trial")
    store.create("a", b"1")
    beside.create("a", b"2")
    assert (store.read("a"), beside.read("a")) == (b"1", b"2")
    assert [path for path, _ in store.walk("")] == ["a"]
    assert store.path.rpartition("/")[2] in whole.folders("")
    store.delete_folder("")
    assert beside.read("a") == b"2"


@pytest.mark.parametrize("path_style", [None, True])
def test_the_bucket_is_in_the_path_where_the_service_is_not_amazons(
    make_store: Callable[..., Any], watched: Front, path_style: bool | None
) -> None:
    make_store(endpoint_url=watched.url, path_style=path_style).create("a", b"x")
    (request,) = watched.requests
    assert request.path.startswith("/trial/")
    assert request.headers["host"] == f"127.0.0.1:{watched.port}"


def test_the_bucket_is_in_the_host_where_that_is_asked_for(
    make_store: Callable[..., Any], watched: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: look_up("127.0.0.1" if host == "trial.localhost" else host, *more))
    store = make_store(path="s3://trial/in-the-host", endpoint_url=f"http://localhost:{watched.port}", path_style=False)
    assert store.create("a", b"x") is True
    (request,) = watched.requests
    assert (request.path, request.headers["host"]) == ("/in-the-host/a", f"trial.localhost:{watched.port}")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {}),
        ({"encryption": "AES256"}, {"": "AES256"}),
        ({"encryption": "aws:kms"}, {"": "aws:kms", "-bucket-key-enabled": "true"}),
        ({"kms_key": "alias/own"}, {"": "aws:kms", "-aws-kms-key-id": "alias/own", "-bucket-key-enabled": "true"}),
        ({"kms_key": "alias/own", "encryption": "aws:kms:dsse"}, {"": "aws:kms:dsse", "-aws-kms-key-id": "alias/own"}),
    ],
)
def test_every_object_is_encrypted_as_configured(
    make_store: Callable[..., Any], watched: Front, fields: dict[str, Any], wanted: dict[str, str]
) -> None:
    store = make_store(endpoint_url=watched.url, **fields)
    store.create("a", b"x")
    store.overwrite("b", b"x")
    store.create("c", b"x" * (17 << 20))
    sent = [request for request in watched.requests if request.verb in ("PUT", "POST+uploads")]
    assert [request.verb for request in sent] == ["PUT", "PUT", "POST+uploads"]
    name = "x-amz-server-side-encryption"
    for request in sent:
        assert {key.removeprefix(name): value.replace("True", "true") for key, value in request.headers.items() if key.startswith(name)} == wanted


def test_the_region_is_the_one_that_requests_are_signed_for(make_store: Callable[..., Any], watched: Front) -> None:
    make_store(endpoint_url=watched.url, region="eu-central-1").stat("a")
    assert "/eu-central-1/s3/aws4_request" in watched.requests[0].headers["authorization"]


# -- what the ledger asks for ------------------------------------------------------------------------------------------


def of_the_worker(request: Request) -> bool:
    return "app/worker" in request.headers["user-agent"]


def test_what_a_worker_asks_for_a_step_is_bounded(
    project: Any, store: S3ArtifactStore, watched: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = project.on(store)
    trial.run(project.steps.two_steps, size=3)  # makes the store, the package and the names
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "worker")
    with watched.noted() as requests:
        run = trial.run(project.steps.two_steps, size=4)
    assert run.status is Status.COMPLETED, run.error
    asked = [request for request in requests if of_the_worker(request)]
    assert 5 < len(asked) <= WORKER, told(asked)


def test_what_is_asked_for_a_step_does_not_grow_with_the_run(project: Any, store: S3ArtifactStore, watched: Front) -> None:
    trial = project.on(store)
    trial.run(project.steps.chain, start=1, length=3)  # the names are there
    counts = []
    for start, length in ((100, 10), (200, 30)):
        with watched.noted() as requests:
            run = trial.run(project.steps.chain, start=start, length=length)
        assert run.status is Status.COMPLETED, run.error
        counts.append(len([request for request in requests if not told_by_the_clock(request)]))
    assert (counts[1] - counts[0]) / 20 <= RUN


def test_what_is_asked_for_a_cached_chain_is_bounded(project: Any, store: S3ArtifactStore, watched: Front) -> None:
    project.on(store).run(project.steps.chain, start=1, length=50)
    again = project.on(alike(store))  # as another process would see it
    with watched.noted() as requests:
        run = again.run(project.steps.chain, start=1, length=50)
    assert run.status is Status.CACHED
    assert len(requests) <= CACHED * 50, told(requests)


def told_by_the_clock(request: Request) -> bool:
    """Heartbeats, and what is told of a step only when it takes longer than a second."""
    return request.path.endswith(("/heartbeat", "/started.json", "/cancel.json"))


def told(requests: list[Request]) -> str:
    kinds = Counter(f"{request.verb} {request.path.rpartition('/')[2] or request.query}" for request in requests)
    return f"{len(requests)} requests: {dict(kinds.most_common())}"
