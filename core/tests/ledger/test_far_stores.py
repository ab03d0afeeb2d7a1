"""A store in which each request takes long is asked little, and at once where that can be foreseen; what it answers stays true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dovetail import pipeline, step
from dovetail.ledger import generations, layout
from dovetail.ledger.ledger import Ledger
from dovetail.local.memory_store import MemoryArtifactStore
from dovetail.planning.workspace import Workspace, open_workspace

_STORES = """
    from dovetail.local.memory_store import MemoryArtifactStore
    from dovetail.plugin import FlavorSpec, hookimpl

    ASKED = []


    def noted(name):
        def call(self, path, *more):
            import threading

            ASKED.append((name, path, threading.current_thread().name))
            return getattr(MemoryArtifactStore, name)(self, path, *more)

        return call


    class Watched(MemoryArtifactStore):
        create, read, scan, stat, folders = map(noted, ("create", "read", "scan", "stat", "folders"))


    @hookimpl
    def dovetail_artifact_stores():
        return [FlavorSpec("watched", "watched:Watched")]
"""


@step
def add(number: int) -> int:
    return number + 1


@pipeline
def chain(start: int, length: int = 12) -> None:
    number = add(start)
    for _ in range(length - 1):
        number = add(number)


@pytest.fixture
def asked(install_plugin: Callable[..., Any], apply_stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, request: Any) -> list[tuple[str, str, str]]:
    """What is asked of the active stack's store: call, path, thread."""
    install_plugin("watched", _STORES)
    apply_stack("far", artifact_store=("watched", "w", {"bucket": request.node.name}))
    monkeypatch.setenv("DOVETAIL_STACK", "far")
    open_workspace()
    import watched

    watched.ASKED.clear()
    return watched.ASKED


def below(asked: list[tuple[str, str, str]], folder: str) -> list[tuple[str, str, str]]:
    return [each for each in asked if each[1].startswith(f"{folder}/")]


def test_what_the_newest_run_took_is_asked_for_by_threads_of_its_own_and_once(asked: list[tuple[str, str, str]]) -> None:
    chain(1)
    asked.clear()
    assert chain(1).status == "cached"
    assert {thread.startswith("dovetail-foresee") for _, _, thread in below(asked, "cache")} == {True}
    assert len(below(asked, "cache")) == 2 * 12
    assert len(below(asked, "artifacts")) == 2 * 12
    assert {thread.startswith("dovetail-write") for _, path, thread in asked if path.endswith("outcome.json")} == {True}


def test_an_artifact_that_went_since_is_no_hit(asked: list[tuple[str, str, str]]) -> None:
    first = chain(1)
    workspace = open_workspace()
    workspace.store.delete_folder(layout.artifact(first.steps["add_5"].output.digest))
    statuses = {name: run.status.value for name, run in chain(1).steps.items()}
    assert [name for name, status in statuses.items() if status != "cached"] == ["add_5"]


def test_the_next_number_of_a_name_is_searched_behind_the_one_that_the_newest_run_had(asked: list[tuple[str, str, str]]) -> None:
    for start in (1, 100):
        chain(start)
    asked.clear()
    run = chain(200)
    assert run.steps["add_3"].output.version == 3
    assert [call for call, path, _ in asked if path.startswith("names/artifacts/chain.add_3.output")] == ["create"]


def test_what_is_learned_before_a_run_is_forgotten_before_its_steps_run(asked: list[tuple[str, str, str]]) -> None:
    chain(1)
    workspace = open_workspace()
    workspace.ledger.cache.foresee(key_of(workspace))
    workspace.ledger.cache.forget()
    asked.clear()
    list(workspace.ledger.cache.entries(key_of(workspace)))
    assert len(below(asked, "cache")) == 2


def key_of(workspace: Workspace) -> str:
    (day,) = workspace.store.folders("runs")
    (run_id,) = workspace.store.folders(f"runs/{day}")
    return str((workspace.ledger.run(run_id).finished() or {})["steps"]["add"]["key"])


class Generations:
    """Two processes that know one store, and what a collection does to an artifact in it."""

    def __init__(self, bucket: str) -> None:
        self.store = MemoryArtifactStore(bucket=bucket)

    def process(self) -> Ledger:
        ledger = Ledger(self.store, open_workspace().ledger.artifacts.materializers)
        ledger.records.format(create=True)
        return ledger

    def collect(self, digest: str) -> None:
        folder = layout.artifact(digest)
        self.store.create(generations.condemned_mark(folder, 0), b"")
        self.store.delete(f"{folder}/manifest.json")
        self.store.delete_folder(f"{folder}/data")


def test_a_reader_that_knew_a_collected_generation_finds_the_next(request: pytest.FixtureRequest) -> None:
    there = Generations(request.node.name)
    writer, reader = there.process(), there.process()
    digest, _ = writer.artifacts.save([1, 2, 3])
    assert reader.artifacts.get(digest).size > 0
    there.collect(digest)
    again, _ = there.process().artifacts.save([1, 2, 3])
    assert again == digest
    assert there.store.stat(f"{layout.artifact(digest)}/g1/manifest.json") is not None
    assert reader.artifacts.load(digest) == [1, 2, 3]
    assert there.process().artifacts.present(digest) is True


def test_what_was_collected_and_not_stored_again_is_not_there(request: pytest.FixtureRequest) -> None:
    there = Generations(request.node.name)
    digest, _ = there.process().artifacts.save("x")
    there.collect(digest)
    reader = there.process()
    assert (reader.artifacts.find(digest), reader.artifacts.present(digest)) == (None, False)


def test_threads_that_ask_at_once_agree(request: pytest.FixtureRequest) -> None:
    there = Generations(request.node.name)
    digest, _ = there.process().artifacts.save("x")
    reader = there.process()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(reader.artifacts.present(digest))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
