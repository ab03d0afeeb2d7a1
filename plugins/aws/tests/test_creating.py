"""Of many creators exactly one wins, and whoever is told nothing, or too late, still learns whether it was he."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import StoreError
from dovetail.ledger.records import Records
from dovetail.testing.races import at_once
from dovetail_aws.artifact_store import S3ArtifactStore
from dovetail_aws.errors import Unreachable
from dovetail_aws.transfers import SMALL
from front import DROP, LOSE, SLOW_DOWN, Fault, Front, Request, once, said, times

LARGE = b"0123456789abcdef" * ((SMALL >> 4) + 1)


def is_create(request: Request) -> bool:
    return request.is_conditional


def test_of_a_hundred_creators_one_wins_though_answers_get_lost(store: S3ArtifactStore, watched: Front) -> None:
    rng, lock = random.Random(7), threading.Lock()

    conflict = said(409, "ConditionalRequestConflict")

    def some(request: Request) -> Fault | None:
        with lock:
            fault = rng.choices([None, LOSE, DROP, SLOW_DOWN, conflict], [84, 6, 3, 3, 4])[0]
        return None if fault is conflict and not is_create(request) else fault

    contents = [f"{number} ".encode() * 100 for number in range(100)]
    with watched.faulty(some):
        for path in ("a", "b", "c"):
            won = at_once([partial(store.create, path, content) for content in contents])
            assert won.count(True) == 1
            assert won.count(False) == 99
            assert store.read(path) == contents[won.index(True)]
    assert watched.made["lose"] > 5, "the faults were not met"


def test_of_a_hundred_writers_of_one_record_exactly_one_is_told_so(store: S3ArtifactStore) -> None:
    records = Records(store)
    won = at_once([partial(records.create, "runs/x.json", {"writer": number}) for number in range(100)])
    assert won.count(True) == 1
    assert records.get("runs/x.json")["writer"] == won.index(True)


def test_many_writers_of_one_log_take_every_number_once(store: S3ArtifactStore) -> None:
    ledgers = [Records(store) for _ in range(3)]  # each as a process of its own would have it
    taken = at_once([partial(ledgers[number % 3].append, "names/artifacts/n", {"writer": number}) for number in range(12)])
    assert sorted(taken) == list(range(1, 13))


@pytest.mark.parametrize("fault", [LOSE, Fault(delay=1.0)], ids=["connection reset", "no answer in time"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_create_that_was_carried_out_is_told_so_though_its_answer_got_lost(
    make_store: Callable[..., Any], watched: Front, fault: Fault, attempts: int
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=attempts, read_timeout=0.5)
    with watched.faulty(once(fault, is_create)):
        assert store.create("a", b"mine") is True
    with watched.faulty(once(fault, is_create)):
        assert store.create("a", b"other") is False
    assert store.read("a") == b"mine"


@pytest.mark.parametrize("fault", [DROP, SLOW_DOWN, said(500, "InternalError"), said(409, "ConditionalRequestConflict")])
def test_a_create_that_was_not_carried_out_is_tried_again(store: S3ArtifactStore, watched: Front, fault: Fault) -> None:
    with watched.faulty(once(fault, is_create)):
        assert store.create("a", b"mine") is True
    assert store.read("a") == b"mine"
    assert sum(map(is_create, watched.requests)) == 2


def test_a_conflict_is_no_answer(store: S3ArtifactStore, watched: Front) -> None:
    """The other writer may still fail, so whoever met it asks again."""
    store.create("a", b"theirs")
    with watched.faulty(times(2, said(409, "ConditionalRequestConflict"), is_create)):
        assert store.create("a", b"mine") is False


def test_a_create_that_cannot_be_carried_out_says_so_and_leaves_nothing(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, attempts=2)
    with watched.faulty(lambda request: SLOW_DOWN if is_create(request) else None), pytest.raises(Unreachable, match="SlowDown.*Try again later"):
        store.create("a", b"x")
    assert store.stat("a") is None
    assert isinstance(Unreachable("x"), (StoreError, ConnectionError))


# -- large objects -----------------------------------------------------------------------------------------------------


def test_a_large_object_is_not_sent_where_there_is_one(store: S3ArtifactStore, watched: Front, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    store.create("a", b"first")
    with watched.noted() as requests:
        assert store.create("a", tmp_path / "large") is False
    assert [request.verb for request in requests] == ["HEAD"]


def test_of_creators_of_one_large_object_exactly_one_wins(store: S3ArtifactStore, watched: Front) -> None:
    contents = [bytes([number]) + LARGE for number in range(4)]
    won = at_once([partial(store.create, "a", content) for content in contents])
    assert won.count(True) == 1
    assert store.read("a") == contents[won.index(True)]
    assert uploads_of(store) == []


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_large_object_that_was_made_is_told_so_though_the_answer_got_lost(
    make_store: Callable[..., Any], watched: Front, attempts: int
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=attempts)
    with watched.faulty(once(LOSE, is_create)):
        assert store.create("a", LARGE) is True
    assert store.read("a") == LARGE
    assert uploads_of(store) == []


def test_nothing_is_left_of_a_large_object_that_could_not_be_sent(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    with watched.faulty(once(DROP, lambda request: request.query.get("partNumber") == ["2"])), pytest.raises(ConnectionError):
        store.create("a", LARGE)
    assert store.stat("a") is None
    assert uploads_of(store) == []


def uploads_of(store: S3ArtifactStore) -> list[Any]:
    listed = store._s3.list_multipart_uploads(Bucket="trial").get("Uploads", [])
    return [upload for upload in listed if upload["Key"].startswith(store._prefix)]


# -- services that only pretend ----------------------------------------------------------------------------------------


def test_a_service_that_ignores_the_condition_is_found_by_the_check(store: S3ArtifactStore, watched: Front) -> None:
    with watched.faulty(lambda request: Fault(without="If-None-Match")):
        (problem,) = store.check()
    assert "does not honour create-if-absent (PutObject with If-None-Match: *)" in problem
    assert store.check() == []
