"""The one primitive, and what is built of it: of many creators exactly one wins, numbers have no gaps, and nobody sees a half."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dovetail.components import ArtifactStore, Entry
from dovetail.errors import Corrupt, NameRefused, NewerLayout, StoreError
from dovetail.ledger import layout
from dovetail.ledger.records import Records
from dovetail.ledger.versions import Versions
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.memory_store import MemoryArtifactStore

MANY = 100


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "local":
        return LocalArtifactStore(path=str(tmp_path / "store"))
    return MemoryArtifactStore(bucket=str(tmp_path))


def at_once(work: Callable[[int], Any], count: int = MANY) -> list[Any]:
    """What `count` threads came to that began together."""
    meeting, results = threading.Barrier(count), [None] * count

    def one(number: int) -> None:
        meeting.wait(30)
        results[number] = work(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_many_threads_that_create_one_object_exactly_one_wins_and_its_bytes_stay(store) -> None:
    won = at_once(lambda number: store.create("a/b/key", f"writer {number}".encode() * 50))
    assert won.count(True) == 1 and won.count(False) == MANY - 1
    assert store.read("a/b/key") == f"writer {won.index(True)}".encode() * 50


def test_of_many_threads_that_create_one_record_exactly_one_is_told_so(store) -> None:
    records = Records(store)
    won = at_once(lambda number: records.create("runs/x.json", {"writer": number}))
    assert won.count(True) == 1
    assert records.get("runs/x.json")["writer"] == won.index(True)


def _create(root: str, number: int, meeting: Any, results: Any) -> None:
    own = LocalArtifactStore(path=root)
    meeting.wait(60)
    for key in range(5):
        results.put((key, number, own.create(f"deep/er/{key}", f"writer {number}".encode() * 1000)))


def test_of_many_processes_that_create_one_object_exactly_one_wins(tmp_path) -> None:
    context = multiprocessing.get_context("fork")
    meeting, results = context.Barrier(MANY), context.Queue()
    processes = [context.Process(target=_create, args=(str(tmp_path / "s"), number, meeting, results)) for number in range(MANY)]
    for process in processes:
        process.start()
    told = [results.get(timeout=60) for _ in range(5 * MANY)]
    for process in processes:
        process.join()
    winners = {key: [number for k, number, won in told if won and k == key] for key in range(5)}
    assert all(len(found) == 1 for found in winners.values())
    store = LocalArtifactStore(path=str(tmp_path / "s"))
    assert [store.read(f"deep/er/{key}") for key in range(5)] == [f"writer {winners[key][0]}".encode() * 1000 for key in range(5)]
    assert list((tmp_path / "s" / "tmp").iterdir()) == []


def test_many_threads_that_append_to_one_log_get_every_number_once(store) -> None:
    ledgers = [Records(store) for _ in range(8)]  # each as a process of its own would have it
    taken = at_once(lambda number: [ledgers[number % 8].append("names/artifacts/n", {"writer": number}) for _ in range(3)], 40)
    assert sorted(number for found in taken for number in found) == list(range(1, 121))
    assert ledgers[0].numbers("names/artifacts/n") == list(range(1, 121))


@pytest.mark.parametrize("there", [0, 1, 2, 3, 7, 8, 9, 64, 65, 300])
def test_a_writer_that_knows_nothing_finds_the_next_number_however_many_there_are(store, there) -> None:
    writer = Records(store)
    for number in range(1, there + 1):
        assert writer.append("log", {}) == number
    looks: list[str] = []
    late = Records(_Counting(store, looks)) if isinstance(store, LocalArtifactStore) else Records(store)
    assert late.append("log", {}) == there + 1
    assert len(looks) <= 40


def _Counting(store: LocalArtifactStore, looks: list[str]) -> LocalArtifactStore:
    class Counting(LocalArtifactStore):
        def stat(self, path: str) -> Entry | None:
            looks.append(path)
            return super().stat(path)

    return Counting(path=store.path)


def test_a_reader_never_sees_half_an_object(tmp_path) -> None:
    store = LocalArtifactStore(path=str(tmp_path / "s"))
    whole = b"x" * 2_000_000
    seen: set[int] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for number in range(20):
                try:
                    seen.add(len(store.read(f"o/{number}")))
                except FileNotFoundError:
                    pass

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(20):
        store.create(f"o/{number}", whole)
    over.set()
    for reader in readers:
        reader.join()
    assert seen <= {len(whole)}


def test_a_writer_that_lost_the_answer_finds_its_own_record_by_its_nonce(tmp_path) -> None:
    class Forgetful(LocalArtifactStore):
        def create(self, path: str, data: bytes | Path) -> bool:
            super().create(path, data)
            raise TimeoutError("the answer was lost")

    plain = LocalArtifactStore(path=str(tmp_path / "s"))
    assert Records(Forgetful(path=plain.path)).create("a.json", {"mine": True}) is True
    assert Records(plain).create("b.json", {"theirs": True}) is True
    assert Records(Forgetful(path=plain.path)).create("b.json", {"mine": True}) is False


def test_a_writer_whose_record_is_not_there_after_a_timeout_is_told_of_the_timeout(tmp_path) -> None:
    class Down(LocalArtifactStore):
        def create(self, path: str, data: bytes | Path) -> bool:
            raise TimeoutError("no route")

    with pytest.raises(TimeoutError, match="no route"):
        Records(Down(path=str(tmp_path))).create("a.json", {})


def test_a_writer_told_that_its_own_record_exists_has_won(tmp_path) -> None:
    """As when a client library repeats a request whose first answer got lost."""

    class Repeating(LocalArtifactStore):
        def create(self, path: str, data: bytes | Path) -> bool:
            super().create(path, data)
            return super().create(path, data)

    assert Records(Repeating(path=str(tmp_path))).create("a.json", {}) is True


def test_a_store_without_an_atomic_create_is_refused_as_a_ledger() -> None:
    class Loose(ArtifactStore):
        atomic_create: ClassVar[str] = ""

        def create(self, path: str, data: bytes | Path) -> bool: ...
        def read(self, path: str) -> bytes: ...
        def overwrite(self, path: str, data: bytes) -> None: ...
        def scan(self, folder: str) -> Iterator[Entry]: ...
        def delete(self, path: str) -> None: ...

    with pytest.raises(StoreError, match="cannot create atomically, so it cannot hold a ledger"):
        Records(Loose().called("loose", "x"))


def test_a_store_that_overwrites_instead_of_creating_is_found_out_before_a_run(install_plugin, apply_stack) -> None:
    from dovetail import pipeline, step
    from dovetail.errors import PreflightFailed

    install_plugin("overwriting", """
        from typing import ClassVar
        from dovetail.local.artifact_store import LocalArtifactStore
        from dovetail.plugin import FlavorSpec, hookimpl

        class Overwriting(LocalArtifactStore):
            atomic_create: ClassVar[str] = "promised"
            def create(self, path, data):
                self.overwrite(path, data)
                return True

        @hookimpl
        def dovetail_artifact_stores():
            return [FlavorSpec("overwriting", "overwriting:Overwriting")]
    """)
    apply_stack("loose", artifact_store=("overwriting", "o", {"path": "loose"}))

    @step
    def one() -> int:
        return 1

    @pipeline
    def p() -> None:
        one()

    with pytest.raises(PreflightFailed, match="does not honour create-if-absent"):
        p.with_options(stack="loose")()


def test_a_newer_layout_is_refused_with_what_was_seen_and_the_cure(store_root) -> None:
    from dovetail import Client, RunFailed, pipeline, step

    @step
    def one() -> int:
        return 1

    @pipeline
    def p() -> None:
        one()

    store_root.mkdir(parents=True)
    (store_root / "format.json").write_text(json.dumps({"store": "0" * 32, "layout": layout.LAYOUT + 1, "hash": "blake3"}))
    before = sorted(os.listdir(store_root))
    for ask in (p, p.plan, lambda: Client().list_runs(), lambda: Client().list_artifacts(), lambda: Client().get_artifact("x"), lambda: Client().get_model("m")):
        with pytest.raises((NewerLayout, RunFailed), match=r"layout 2 .*reads layouts up to 1 .*pip install --upgrade dovetail"):
            ask()
    assert sorted(set(os.listdir(store_root)) - {"tmp", "canary"}) == before


def test_bytes_that_are_no_record_say_so_with_their_place(tmp_path) -> None:
    store = LocalArtifactStore(path=str(tmp_path))
    records = Records(store)
    for number, data in enumerate([b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000]):
        store.create(f"r/{number}.json", data)
        with pytest.raises(Corrupt, match=f"r/{number}.json.*verify --repair"):
            records.get(f"r/{number}.json")
        assert list(records.newest("r")) == []


def test_an_artifact_name_that_differs_only_in_case_is_refused_and_claims_nothing(tmp_path) -> None:
    record = {"digest": "0" * 64}
    versions = Versions(Records(LocalArtifactStore(path=str(tmp_path))))
    assert versions.claim_artifact("Report", record) == 1
    other = Versions(Records(LocalArtifactStore(path=str(tmp_path))))
    for each in (versions, other):
        with pytest.raises(NameRefused, match="'report' differs only in case from 'Report'"):
            each.claim_artifact("report", record)
        with pytest.raises(NameRefused, match="'REPORT' differs only in case from 'Report'"):
            each.claim_artifact("REPORT", record)
    assert other.claim_artifact("Report", record) == 2
    with pytest.raises(NameRefused):
        other.claim_artifact("report", record)
    assert [number for number, _ in versions.artifacts("Report")] == [2, 1]
    assert versions.artifact_names() == ["Report"]


def test_a_path_that_leaves_the_store_is_refused(tmp_path) -> None:
    store = LocalArtifactStore(path=str(tmp_path / "s"))
    for path in ("../x", "a/../../x", "a/.."):
        for call in (lambda p: store.create(p, b""), store.read, lambda p: store.overwrite(p, b""), store.delete, store.stat, lambda p: list(store.scan(p))):
            with pytest.raises(StoreError, match="leaves its artifact store"):
                call(path)
