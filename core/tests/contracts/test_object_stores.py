"""A store that somebody else made of `ObjectStore` keeps the contract of artifact stores, and that of stores whose service fails."""

from __future__ import annotations

import threading
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from depot import Depot, DepotStore, depot
from dovetail.components.transfers import BrokenOff, Conflict, NoAnswer, ObjectStoreError, Source, Taken, Unreachable, at_once, until_whole
from dovetail.errors import ConfigurationError, StoreError
from dovetail.testing import ArtifactStoreContract, ObjectStoreContract
from dovetail.testing.front import Fault, Front, Request, front

_NOT_DECLARED = "no installed plugin declares it, so no other process can make it"


@pytest.fixture(scope="module")
def service() -> Iterator[Depot]:
    with depot() as running:
        yield running


@pytest.fixture
def watched(service: Depot) -> Iterator[Front]:
    with front(service.port) as standing:
        yield standing


@pytest.fixture
def make_store(service: Depot) -> Callable[..., DepotStore]:
    path = f"depot://bucket/{uuid.uuid4().hex}"
    return lambda **fields: DepotStore(**{"path": path, "endpoint_url": service.url, **fields})


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    """Hundreds of threads begin at once here. Where each would install coverage's tracer, with the audit hook of steps looking on, CPython 3.11 ends some of them."""
    before = threading.gettrace()
    threading.settrace(None)  # type: ignore[arg-type]  # which takes it back
    yield
    threading.settrace(before)  # type: ignore[arg-type]



class TestDepot(ArtifactStoreContract):
    waived: ClassVar = {
        "test_of_creators_in_other_processes_exactly_one_wins": _NOT_DECLARED,
        "test_a_step_in_another_process_finds_its_way_by_the_address": _NOT_DECLARED,
    }

    @pytest.fixture
    def store(self, make_store: Callable[..., DepotStore]) -> DepotStore:
        return make_store()

    @pytest.fixture
    def denied_store(self, make_store: Callable[..., DepotStore]) -> DepotStore:
        return make_store(token="wrong")


class TestDepotThatFails(ObjectStoreContract):
    condition = "If-None-Match"
    busy = Fault(answer=(503, b""))
    waived: ClassVar = {"test_a_large_file_is_moved_in_little_memory": _NOT_DECLARED}

    def is_create(self, request: Request) -> bool:
        return request.headers.get("if-none-match") == "*"

    def is_part(self, request: Request) -> bool:
        return "part" in request.query


class Scripted(DepotStore):
    """Its service answers a create as it is told to, and says of each object that its writer is the one before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answers: list[Any] = []
        self.found: Any = None

    def put_object(self, path: str, content: bytes, writer: str | None) -> None:
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer

    def head_object(self, path: str) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def scripted() -> Scripted:
    return Scripted(path="depot://bucket", endpoint_url="http://127.0.0.1:1")


def test_a_conflict_is_no_answer_and_is_asked_again(scripted: Scripted) -> None:
    scripted.answers = [Conflict("both"), Conflict("both"), None]
    assert scripted.create("a", b"x") is True


def test_what_may_have_been_done_and_cannot_be_looked_up_is_an_error(scripted: Scripted) -> None:
    scripted.answers, scripted.found = [Unreachable("lost")], NoAnswer("slow")
    with pytest.raises(Unreachable, match="lost"):
        scripted.create("a", b"x")
    scripted.answers, scripted.found = [Taken("there is one", repeated=True)], NoAnswer("slow")
    with pytest.raises(NoAnswer, match="slow"):
        scripted.create("a", b"x")


def test_what_was_not_done_is_an_error(scripted: Scripted) -> None:
    scripted.answers = [Unreachable("lost")]
    with pytest.raises(Unreachable, match="lost"):
        scripted.create("a", b"x")
    scripted.answers = [ObjectStoreError("no such bucket")]
    with pytest.raises(ObjectStoreError, match="no such bucket"):
        scripted.create("a", b"x")


def test_errors_are_of_the_kinds_that_the_interface_names() -> None:
    assert isinstance(Unreachable("x"), StoreError) and isinstance(Unreachable("x"), ConnectionError)
    assert isinstance(NoAnswer("x"), TimeoutError)
    assert Unreachable("x").is_uncertain and not Unreachable("x", reached=False).is_uncertain and not Taken("x").is_uncertain


def test_content_that_breaks_off_is_asked_for_as_often_as_the_attempts_allow() -> None:
    answers: list[Any] = [BrokenOff("1"), BrokenOff("2"), "whole"]

    def once() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert until_whole(once, 3) == "whole"
    answers[:] = [BrokenOff("1"), BrokenOff("2"), "whole"]
    with pytest.raises(BrokenOff, match="2"):
        until_whole(once, 2)


def test_after_the_first_failure_no_further_part_is_begun() -> None:
    begun: list[int] = []

    def work(start: int) -> int:
        begun.append(start)
        if start == 0:
            raise ConnectionError("broken")
        return start

    with pytest.raises(ConnectionError):
        at_once(work, range(1000), 1)
    assert len(begun) < 1000
    assert at_once(lambda start: start * 2, range(5), 3) == [0, 2, 4, 6, 8]


def test_parts_of_bytes_and_of_a_file_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    for source in (Source.of(b"0123456789"), Source.of(tmp_path / "file")):
        assert (source.size, source.part(0, 10), source.part(3, 4)) == (10, b"0123456789", b"3456")


@pytest.mark.parametrize("path", ["bucket/prefix", "depot:///prefix", "s3://bucket/x", "depot://bucket?x=1", "depot://me:planted@bucket/x"])
def test_a_path_that_names_no_bucket_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="Write it as depot://bucket/prefix") as raised:
        DepotStore(path=path, endpoint_url="")
    assert "planted" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="max_concurrency"):
        DepotStore(path="depot://bucket", endpoint_url="", max_concurrency=0)
