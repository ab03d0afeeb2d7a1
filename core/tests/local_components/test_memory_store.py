"""An artifact store in this process's memory."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

import pytest

from dovetail.local.memory_store import MemoryArtifactStore


@pytest.fixture
def store() -> MemoryArtifactStore:
    return MemoryArtifactStore(bucket=uuid.uuid4().hex)


def test_its_own_check_finds_nothing_wrong(store: MemoryArtifactStore) -> None:
    assert store.check() == []


def test_exactly_one_of_many_creators_wins_and_its_content_stays(store: MemoryArtifactStore) -> None:
    for round_ in range(20):
        won, gate = [], threading.Barrier(8)

        def create(number: int, path: str = f"a/{round_}", won: list[int] = won, gate: threading.Barrier = gate) -> None:
            gate.wait()
            if store.create(path, str(number).encode()):
                won.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.read(f"a/{round_}") == str(won[0]).encode()


def test_objects_are_created_from_files_too(store: MemoryArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    assert store.create("x/y/z", tmp_path / "f")
    store.fetch("x/y/z", tmp_path / "g")
    assert (tmp_path / "g").read_bytes() == b"content"


def test_a_folder_lists_its_direct_children(store: MemoryArtifactStore) -> None:
    for path in ("a/one", "a/b/two", "a/b/c/three", "other"):
        store.create(path, path.encode())
    assert {(entry.name, entry.is_folder, entry.size) for entry in store.scan("a")} == {("one", False, 5), ("b", True, 0)}
    assert {entry.name for entry in store.scan("")} == {"a", "other"}
    assert {path for path, _ in store.walk("a")} == {"a/one", "a/b/two", "a/b/c/three"}
    assert list(store.scan("missing")) == []


def test_missing_objects_are_missing_alike_everywhere(store: MemoryArtifactStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("nothing")
    assert store.stat("nothing") is None
    store.delete("nothing")
    store.create("a/b", b"")
    assert store.stat("a") is None


def test_deleted_objects_can_be_created_again(store: MemoryArtifactStore) -> None:
    store.create("a/b", b"1")
    store.create("a/c/d", b"1")
    store.delete("a/b")
    assert store.create("a/b", b"2")
    store.delete_folder("a")
    assert list(store.walk("")) == []


def test_overwriting_moves_the_time_on(store: MemoryArtifactStore) -> None:
    store.overwrite("beat", b"1")
    first = store.stat("beat")
    time.sleep(0.01)
    store.overwrite("beat", b"22")
    second = store.stat("beat")
    assert first is not None
    assert second is not None
    assert (second.size, store.read("beat")) == (2, b"22")
    assert first.modified < second.modified <= store.now() <= time.time() + 1


def test_stores_of_one_bucket_share_and_of_two_do_not(store: MemoryArtifactStore) -> None:
    store.create("a", b"1")
    assert MemoryArtifactStore(bucket=store.bucket).read("a") == b"1"
    assert MemoryArtifactStore(bucket=store.bucket + "2").stat("a") is None


def test_it_offers_no_local_folder(store: MemoryArtifactStore, tmp_path: Path) -> None:
    assert store.local_folder("a") is None
    assert store.adopt(tmp_path, "a") is False
