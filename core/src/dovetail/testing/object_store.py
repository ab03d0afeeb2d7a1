"""What every artifact store on `dovetail.components.ObjectStore` keeps while its service fails, answers late, or not at all."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dovetail.components.object_store import ObjectStore
from dovetail.components.transfers import NoAnswer
from dovetail.errors import DovetailError, StoreError
from dovetail.ledger.records import Records
from dovetail.ledger.verifying import verify
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.stack.checks import DEADLINE
from dovetail.testing.contract import Contract
from dovetail.testing.elsewhere import elsewhere
from dovetail.testing.front import CUT, DROP, LOSE, STALE, Fault, Front, once, times
from dovetail.testing.given import alike
from dovetail.testing.races import at_once
from dovetail.testing.trial import TrialProject
from dovetail.values.plan import Status

_TIMEOUT = 1.0  # seconds that a client waits for an answer here
_IN_MEMORY = 160 << 20  # bytes that moving a large object may take
_NOBODY = "http://127.0.0.1:1"  # no server listens on this port

MakeStore = Callable[..., ObjectStore]


class ObjectStoreContract(Contract):
    """Fixture `make_store`: makes a store of a place of the test's own, fields being given. Fixture `watched`: a front before its service.

    `condition`: the header or parameter by which a request creates only where nothing is. `busy`: how the service says that it has
    too much to do. `address`: the field that says where the service is. `timeout`: the field of the seconds to wait for an answer.
    """

    condition: ClassVar[str]
    busy: ClassVar[Fault]
    address: ClassVar[str] = "endpoint_url"
    timeout: ClassVar[str] = "read_timeout"

    @pytest.fixture
    def store(self, make_store: MakeStore, watched: Front) -> ObjectStore:
        return make_store(**{self.address: watched.url})

    @pytest.fixture
    def unsigned_store(self, store: ObjectStore) -> ObjectStore:
        """One whose requests the service takes though something was taken out of them on their way."""
        return store

    def is_create(self, request: Any) -> bool:
        """Whether a request may make an object that was not there."""
        raise NotImplementedError

    def is_part(self, request: Any) -> bool:
        """Whether a request sends a part of a large object."""
        raise NotImplementedError

    def content(self, store: ObjectStore, parts: int = 1) -> bytes:
        """One that is large enough to be sent in more than one request."""
        return os.urandom(max(store.small, parts * store.part) + 1)

    # -- creating ------------------------------------------------------------------------------------------------------

    def test_of_a_hundred_creators_one_wins_though_answers_get_lost(self, make_store: MakeStore, watched: Front) -> None:
        store = make_store(**{self.address: watched.url}, attempts=8)  # so that no request meets faults alone
        rng, lock = random.Random(7), threading.Lock()  # noqa: S311

        def some(_: Any) -> Fault | None:
            with lock:
                return rng.choices([None, LOSE, DROP, self.busy], [91, 5, 2, 2])[0]

        contents = [f"{number} ".encode() * 100 for number in range(100)]
        with watched.faulty(some):
            for path in ("a", "b", "c"):
                won = at_once([partial(store.create, path, content) for content in contents])
                assert (won.count(True), won.count(False)) == (1, 99)
                assert store.read(path) == contents[won.index(True)]
        assert watched.made["lose"] > 5, "the faults were not met"

    def test_of_a_hundred_writers_of_one_record_exactly_one_is_told_so(self, store: ObjectStore) -> None:
        records = Records(store)
        won = at_once([partial(records.create, "runs/x.json", {"writer": number}) for number in range(100)])
        assert won.count(True) == 1
        assert records.get("runs/x.json")["writer"] == won.index(True)

    def test_many_writers_of_one_log_take_every_number_once(self, store: ObjectStore) -> None:
        ledgers = [Records(store) for _ in range(3)]  # each as a process of its own would have it
        taken = at_once([partial(ledgers[number % 3].append, "names/artifacts/n", {"writer": number}) for number in range(12)])
        assert sorted(taken) == list(range(1, 13))

    @pytest.mark.parametrize("fault", [LOSE, Fault(delay=1.0)], ids=["connection reset", "no answer in time"])
    @pytest.mark.parametrize("attempts", [1, 3])
    def test_a_create_that_was_carried_out_is_told_so_though_its_answer_got_lost(
        self, make_store: MakeStore, watched: Front, fault: Fault, attempts: int
    ) -> None:
        store = make_store(**{self.address: watched.url, self.timeout: 0.5}, attempts=attempts)
        with watched.faulty(once(fault, self.is_create)):
            assert store.create("a", b"mine") is True
        with watched.faulty(once(fault, self.is_create)):
            assert store.create("a", b"other") is False
        assert store.read("a") == b"mine"

    def test_a_create_that_was_not_carried_out_is_tried_again(self, store: ObjectStore, watched: Front) -> None:
        for number, fault in enumerate((DROP, self.busy)):
            with watched.faulty(once(fault, self.is_create)), watched.noted() as requests:
                assert store.create(str(number), b"mine") is True
            assert store.read(str(number)) == b"mine"
            assert sum(map(self.is_create, requests)) == 2

    def test_a_create_that_cannot_be_carried_out_says_so_and_leaves_nothing(self, make_store: MakeStore, watched: Front) -> None:
        store = make_store(**{self.address: watched.url}, attempts=2)
        with watched.faulty(lambda request: self.busy if self.is_create(request) else None), pytest.raises(ConnectionError) as raised:
            store.create("a", b"x")
        assert isinstance(raised.value, StoreError)
        assert store.stat("a") is None

    def test_a_service_that_ignores_the_condition_is_found_by_the_check(self, unsigned_store: ObjectStore, watched: Front) -> None:
        store = unsigned_store
        with watched.faulty(lambda _: Fault(without=self.condition)):
            (problem,) = store.check()
        assert f"does not honour create-if-absent ({store.atomic_create})" in problem
        assert store.check() == []

    # -- large objects -------------------------------------------------------------------------------------------------

    def test_content_of_every_size_arrives_whole(self, store: ObjectStore, tmp_path: Path) -> None:
        for size in (store.part, store.part + 1, store.small, store.small + 1, 40_000_001):
            content = os.urandom(size)
            (tmp_path / "file").write_bytes(content)
            assert store.create(f"{size} from a file", tmp_path / "file") is True
            assert store.create(f"{size} from bytes", content) is True
            for path in (f"{size} from a file", f"{size} from bytes"):
                entry = store.stat(path)
                assert entry is not None
                assert entry.size == size
                store.fetch(path, tmp_path / "fetched")
                assert (tmp_path / "fetched").read_bytes() == content
            assert store.read(f"{size} from a file") == content

    def test_a_large_object_is_not_sent_where_there_is_one(self, store: ObjectStore, watched: Front) -> None:
        store.create("a", b"first")
        with watched.noted() as requests:
            assert store.create("a", self.content(store)) is False
        assert len(requests) == 1

    def test_of_creators_of_one_large_object_exactly_one_wins(self, store: ObjectStore) -> None:
        contents = [self.content(store) for _ in range(4)]
        won = at_once([partial(store.create, "a", content) for content in contents])
        assert won.count(True) == 1
        assert store.read("a") == contents[won.index(True)]

    @pytest.mark.parametrize("attempts", [1, 3])
    def test_a_large_object_that_was_made_is_told_so_though_the_answer_got_lost(
        self, make_store: MakeStore, watched: Front, attempts: int
    ) -> None:
        store = make_store(**{self.address: watched.url}, attempts=attempts)
        content = self.content(store)
        with watched.faulty(once(LOSE, self.is_create)):
            assert store.create("a", content) is True
        assert watched.made["lose"] == 1
        assert store.read("a") == content

    def test_nothing_is_left_of_a_large_object_that_could_not_be_sent(self, make_store: MakeStore, watched: Front) -> None:
        store = make_store(**{self.address: watched.url}, attempts=1)
        with watched.faulty(once(DROP, self.is_part)), pytest.raises(ConnectionError):
            store.create("a", self.content(store))
        assert store.stat("a") is None
        assert list(store.walk("")) == []

    def test_a_part_that_breaks_off_is_moved_again(self, store: ObjectStore, watched: Front, tmp_path: Path) -> None:
        content = self.content(store, parts=3)
        for number, fault in enumerate((DROP, CUT, self.busy)):
            with watched.faulty(times(2, fault, self.is_part)):
                assert store.create(str(number), content) is True
            with watched.faulty(times(2, fault)):
                store.fetch(str(number), tmp_path / "fetched")
            assert (tmp_path / "fetched").read_bytes() == content
            with watched.faulty(once(fault)):
                assert store.read(str(number)) == content
        assert sum(watched.made.values()) == 15

    def test_content_that_keeps_breaking_off_is_an_error(self, make_store: MakeStore, watched: Front, tmp_path: Path) -> None:
        store = make_store(**{self.address: watched.url}, attempts=2)
        store.create("a", b"x" * 100_000)
        with watched.faulty(lambda _: CUT):
            with pytest.raises(ConnectionError):
                store.read("a")
            with pytest.raises(ConnectionError):
                store.fetch("a", tmp_path / "fetched")

    def test_an_object_that_is_replaced_while_it_is_fetched_is_an_error_and_no_mixture(
        self, store: ObjectStore, watched: Front, make_store: MakeStore, tmp_path: Path
    ) -> None:
        store.overwrite("a", b"o" * (3 * store.part))
        other, asked = make_store(), [0]

        def replace(_: Any) -> None:
            asked[0] += 1
            if asked[0] == 2:  # the first of those that follow the beginning
                other.overwrite("a", b"n" * (3 * store.part))

        with watched.faulty(replace), pytest.raises(StoreError):
            store.fetch("a", tmp_path / "fetched")

    @pytest.mark.skipif(sys.platform == "win32", reason="it tells no peak of memory")
    def test_a_large_file_is_moved_in_little_memory(self, make_store: MakeStore, project: TrialProject, tmp_path: Path) -> None:
        store = make_store()
        with (tmp_path / "file").open("wb") as file:
            for _ in range(200):
                file.write(os.urandom(1 << 20))
        with elsewhere(project, store, "move_large", [["large", str(tmp_path / "file"), str(tmp_path / "fetched")]]) as (grown,):
            assert grown < _IN_MEMORY
        assert (tmp_path / "fetched").read_bytes() == (tmp_path / "file").read_bytes()

    # -- requests ------------------------------------------------------------------------------------------------------

    def test_a_call_is_one_request(self, store: ObjectStore, watched: Front, tmp_path: Path) -> None:
        for path in ("there", "folder/a", "folder/deep/b"):
            store.create(path, b"x")
        calls: dict[str, Callable[[], Any]] = {
            "create": lambda: store.create("new", b"x"),
            "create where there is one": lambda: store.create("there", b"x"),
            "read": lambda: store.read("there"),
            "fetch": lambda: store.fetch("there", tmp_path / "fetched"),
            "overwrite": lambda: store.overwrite("there", b"y"),
            "stat": lambda: store.stat("there"),
            "stat of nothing": lambda: store.stat("nothing"),
            "scan": lambda: list(store.scan("folder")),
            "walk": lambda: list(store.walk("")),
            "delete": lambda: store.delete("there"),
            "delete of nothing": lambda: store.delete("nothing"),
            "delete of no folder": lambda: store.delete_folder("nowhere"),
        }
        for name, call in calls.items():
            with watched.noted() as requests:
                call()
            assert len(requests) == 1, f"{name}: {[request.verb for request in requests]}"
        with watched.noted() as requests:
            assert abs(store.now() - time.time()) < 60
        assert requests == [], "the clock is that of the last answer"

    def test_a_path_that_leaves_the_store_is_refused(self, store: ObjectStore, watched: Front, tmp_path: Path) -> None:
        for path in ("../other", "a/../../b"):
            with pytest.raises(StoreError, match="leaves its artifact store"):
                store.create(path, b"x")
            with pytest.raises(StoreError, match="leaves its artifact store"):
                store.fetch(path, tmp_path / "x")
        assert watched.requests == []

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_a_forked_process_speaks_through_connections_of_its_own(self, store: ObjectStore) -> None:
        assert store.create("a", b"x") is True
        said_by, says = os.pipe()
        child = os.fork()
        if child == 0:
            ok = False
            try:
                ok = store.read("a") == b"x" and store.create("b", b"y")
            finally:
                os.write(says, b"1" if ok else b"0")
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(said_by, 1) == b"1"
        assert store.read("b") == b"y"
        os.close(said_by)
        os.close(says)

    # -- who does not answer -------------------------------------------------------------------------------------------

    def test_nobody_who_listens_is_found_by_the_check_within_its_deadline(self, make_store: MakeStore) -> None:
        began = time.monotonic()
        (problem,) = make_store(**{self.address: _NOBODY}).check()
        assert time.monotonic() - began < DEADLINE
        assert "127.0.0.1" in problem

    def test_no_answer_in_time_is_a_timeout(self, make_store: MakeStore, watched: Front) -> None:
        store = make_store(**{self.address: watched.url, self.timeout: 0.2}, attempts=1)
        with watched.faulty(lambda _: Fault(delay=0.6)), pytest.raises(NoAnswer):
            store.read("a")

    def test_what_does_not_speak_its_language_is_an_error_of_the_store(self, make_store: MakeStore, watched: Front) -> None:
        store = make_store(**{self.address: watched.url}, attempts=1)
        page = Fault(answer=(200, b"<!doctype html><p>welcome"))
        with watched.faulty(lambda _: page):
            with pytest.raises(StoreError):
                list(store.scan("folder"))
            assert store.check() != []

    # -- runs ----------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("rate", "seed"), [(0.01, 1), (0.05, 2)])
    def test_a_run_is_what_it_would_have_been_though_requests_fail(
        self, project: TrialProject, make_store: MakeStore, watched: Front, rate: float, seed: int
    ) -> None:
        store = make_store(**{self.address: watched.url, self.timeout: _TIMEOUT})
        faults = [DROP, LOSE, CUT, self.busy, Fault(delay=1.5 * _TIMEOUT), Fault(delay=0.3)]
        with watched.faulty(_now_and_then(faults, rate, seed)):
            trial = project.on(LocalOrchestrator(), store)
            made, fan = trial.run(project.pipelines.diamond), trial.run(project.pipelines.fan, width=9)
            again = project.on(LocalOrchestrator(), alike(store)).run(project.pipelines.diamond)
        assert watched.made, "no fault was met"
        assert [run.status for run in (made, fan, again)] == [Status.COMPLETED, Status.COMPLETED, Status.CACHED]
        assert made.steps["total"].output.load() == again.steps["total"].output.load() == 51
        found = verify(trial.client.ledger)
        assert found.is_sound, found.findings
        assert (found.void, found.unfinished) == (0, 0)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_run_that_is_told_what_was_before_completes_or_fails_and_harms_nothing(
        self, project: TrialProject, make_store: MakeStore, watched: Front, seed: int
    ) -> None:
        trial = project.on(LocalOrchestrator(), make_store(**{self.address: watched.url}))
        with watched.faulty(_now_and_then([STALE, Fault(delay=0.1)], 0.2, seed)):
            for number in range(3):
                with contextlib.suppress(DovetailError, OSError):  # told what is no longer so, it may say that it cannot go on
                    assert trial.run(project.pipelines.fan, width=3 + number).status.is_final
        assert watched.made["stale"], "no answer was stale"
        found = verify(project.on(LocalOrchestrator(), make_store()).client.ledger)
        assert found.is_sound, found.findings
        assert trial.run(project.pipelines.single).steps["scaled"].output.load() == 42

    def test_an_outcome_is_committed_once_though_every_answer_to_it_gets_lost(
        self, project: TrialProject, make_store: MakeStore, watched: Front
    ) -> None:
        store = make_store(**{self.address: watched.url}, attempts=1)

        def lose_commits(request: Any) -> Fault | None:
            return LOSE if self.is_create(request) and _names_a_commit(request) else None

        with watched.faulty(lose_commits):
            run = project.on(LocalOrchestrator(), store).run(project.pipelines.diamond)
        assert run.status is Status.COMPLETED
        assert watched.made["lose"] >= 5
        assert verify(project.on(LocalOrchestrator(), make_store()).client.ledger).is_sound

    def test_a_run_on_a_store_that_went_away_ends_with_a_sentence_and_can_be_run_again(
        self, project: TrialProject, make_store: MakeStore, watched: Front
    ) -> None:
        trial = project.on(LocalOrchestrator(), make_store(**{self.address: watched.url}, attempts=1))
        gone = threading.Event()

        def go_away(request: Any) -> Fault | None:
            if "left/outcome.json" in _names(request):
                gone.set()
            return DROP if gone.is_set() else None

        with watched.faulty(go_away), pytest.raises(OSError, match=r"127\.0\.0\.1"):
            trial.run(project.pipelines.diamond)
        found = verify(project.on(LocalOrchestrator(), make_store()).client.ledger)
        assert found.is_sound, found.findings
        assert trial.run(project.pipelines.diamond).steps["total"].output.load() == 51

    def test_a_store_that_cannot_be_asked_is_not_taken_for_a_damaged_one(
        self, project: TrialProject, make_store: MakeStore, watched: Front
    ) -> None:
        ledger = project.on(LocalOrchestrator(), make_store(**{self.address: watched.url}, attempts=1)).client.ledger
        project.on(LocalOrchestrator(), make_store()).run(project.pipelines.diamond)
        before = sorted(path for path, _ in make_store().walk(""))
        with watched.faulty(lambda request: DROP if "/data/" in _names(request) else None), pytest.raises(OSError, match=r"127\.0\.0\.1"):
            verify(ledger, repair=True)
        assert sorted(path for path, _ in make_store().walk("")) == before


def _now_and_then(faults: list[Fault], rate: float, seed: int) -> Callable[[Any], Fault | None]:
    rng, lock = random.Random(seed), threading.Lock()  # noqa: S311

    def choose(_: Any) -> Fault | None:
        with lock:
            return rng.choice(faults) if rng.random() < rate else None

    return choose


def _names(request: Any) -> str:
    """Where the key of the object stands, in some services' paths and in others' parameters."""
    return f"{request.path} {' '.join(request.query.get('name', ()))}"


def _names_a_commit(request: Any) -> bool:
    return any(f"{name} " in f"{_names(request)} " for name in ("/outcome.json", "/finished.json", "run.json"))
