"""What a collection deletes, and what it never does."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, save_artifact
from dovetail.errors import Corrupt, NewerLayout, StoreError
from dovetail.ledger import collecting, layout
from dovetail.ledger.collecting import collect, find_garbage
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.verifying import verify

from .conftest import DAY, IN_SIX_WEEKS, IN_THREE_WEEKS, adding, digests, ledger, mapping, modelling


def whole(store: Path, digest: str) -> bool:
    return (store / "artifacts" / digest / "manifest.json").exists() or any((store / "artifacts" / digest).glob("g*/manifest.json"))


def kinds(garbage: list[Any]) -> dict[str, int]:
    return {kind: sum(each.kind == kind for each in garbage) for kind in {each.kind for each in garbage}}


def test_nothing_that_a_kept_run_reaches_is_deleted_however_old(store: Path) -> None:
    runs = [adding(count=4), mapping(count=3)]
    assert collect(ledger(), now=IN_SIX_WEEKS * 2) == []
    assert all(whole(store, digest) for run in runs for digest in digests(run))
    assert Client().get_run(runs[1].id).steps["total"].outputs["output"].load() == 5
    assert verify(ledger()).findings == ()


def test_what_only_a_deleted_run_reached_goes_after_the_cache_has_let_go_of_it(store: Path) -> None:
    kept, deleted = adding(count=3), adding(count=9)
    of_kept, of_deleted = digests(kept), digests(deleted)
    Client().delete(deleted)
    assert find_garbage(ledger(), now=IN_THREE_WEEKS) == [], "the cache keeps its artifacts for 30 days"
    gone = collect(ledger(), now=IN_SIX_WEEKS)
    assert kinds(gone) == {"artifact": 2, "cache entry": 2}
    assert len(of_deleted - of_kept) == 2
    assert not any(whole(store, digest) for digest in of_deleted - of_kept)
    assert all(whole(store, digest) for digest in of_kept)
    assert verify(ledger()).findings == ()


def test_what_the_cache_does_not_hold_goes_after_14_days(store: Path) -> None:
    run = adding.with_options(enable_cache=False)(count=3)
    Client().delete(run)
    assert find_garbage(ledger(), now=time.time() + 13 * DAY) == []
    assert kinds(collect(ledger(), now=time.time() + 15 * DAY)) == {"artifact": 2, "code package": 1}


def test_a_dry_run_tells_what_and_how_much_and_deletes_nothing(store: Path) -> None:
    run = adding.with_options(enable_cache=False)(count=3)
    size = sum(output.size for step in run.steps.values() for output in step.outputs.values())
    Client().delete(run)
    before = sorted(path for path in store.rglob("*") if path.is_file())
    found = [each for each in find_garbage(ledger(), now=IN_SIX_WEEKS) if each.kind == "artifact"]
    assert sum(each.bytes for each in found) > size > 0
    assert all(each.used < time.time() for each in found)
    assert sorted(path for path in store.rglob("*") if path.is_file()) == before


def test_a_cache_hit_keeps_an_artifact_for_another_30_days(store: Path) -> None:
    run = adding(count=3)
    Client().delete(run)
    for file in [path for path in store.glob("artifacts/**/*") if path.is_file()]:
        os.utime(file, (time.time() - 40 * DAY,) * 2)
    for entry in store.glob("cache/*/*/*.json"):
        entry.write_text(json.dumps({**json.loads(entry.read_text()), "at": time.time() - 40 * DAY}))
    assert kinds(find_garbage(ledger())) == {"artifact": 2}
    again = adding(count=3)
    assert again.status == "cached"
    Client().delete(again)
    assert find_garbage(ledger()) == []


def test_items_of_a_list_stay_as_long_as_the_list(store: Path) -> None:
    made = ledger()
    made.records.format(create=True)
    items = [made.artifacts.save(number)[0] for number in range(3)]
    listed, _ = made.artifacts.save_items(items)
    made.versions.claim_artifact("parts", {"digest": listed, "at": 1.0})
    assert collect(ledger(), now=IN_SIX_WEEKS) == []
    assert Client().get_artifact("parts").load() == [0, 1, 2]


def test_a_list_goes_before_its_items(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = mapping.with_options(enable_cache=False)(count=4)
    listed = run.steps["squares"].outputs["output"]
    items = listed.manifest.items
    Client().delete(run)
    order = [each.path.rpartition("/")[2] for each in collect(ledger(), now=IN_SIX_WEEKS)]
    assert all(order.index(listed.digest) < order.index(item) for item in items)


def test_no_reader_ever_finds_an_artifact_with_half_of_its_files(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = mapping.with_options(stack=bucket, enable_cache=False)(count=4)
    client = Client(bucket)
    client.delete(run)
    deleted: list[str] = []
    cls = type(client.ledger.store)
    delete = cls.delete
    monkeypatch.setattr(cls, "delete", lambda self, path: (deleted.append(path), delete(self, path))[1])
    gone = [each for each in collect(Client(bucket).ledger, now=IN_SIX_WEEKS) if each.kind == "artifact"]
    assert len(gone) >= 6
    for each in gone:
        payload = [number for number, path in enumerate(deleted) if path.startswith(f"{each.path}/data/")]
        assert all(deleted.index(f"{each.path}/manifest.json") < number for number in payload)
    assert sum("/data/" in path for path in deleted) >= 5
    assert not [path for path, _ in client.ledger.store.walk("artifacts") if "/used/" not in path and "/condemned/" not in path]


def test_an_artifact_that_was_saved_outside_any_run_stays(store: Path) -> None:
    saved = save_artifact({"a": 1}, "settings")
    assert collect(ledger(), now=IN_SIX_WEEKS) == []
    assert Client().get_artifact("settings").load() == {"a": 1}
    assert whole(store, saved.digest)


def test_the_artifact_of_a_deployment_stays_until_the_deployment_is_deleted(store: Path) -> None:
    client = Client()
    run = adding.with_options(enable_cache=False)(count=3)
    served = run.steps["numbers"].outputs["output"].digest
    client.ledger.records.append(layout.deployments("d"), {"name": "d", "digest": served, "handle": {}})
    client.delete(run)
    collect(ledger(), now=IN_SIX_WEEKS)
    assert whole(store, served)
    client.ledger.change({"delete": True, "deployment": "d/1"})
    collect(ledger(), now=IN_SIX_WEEKS)
    assert not whole(store, served)


def test_the_code_of_a_kept_run_stays_and_that_of_no_run_goes(store: Path) -> None:
    run = adding(count=3)
    package = run.header["package"]
    collect(ledger(), now=IN_SIX_WEEKS)
    assert (store / layout.code(package) / "package.zip").exists()
    Client().delete(run)
    collect(ledger(), now=IN_SIX_WEEKS)
    assert not (store / layout.code(package) / "package.zip").exists()


def test_code_that_was_collected_is_stored_again_when_it_runs_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.ledger.code_packages import read_code
    from dovetail.planning import package

    run = adding(count=3)
    Client().delete(run)
    collect(ledger(), now=IN_SIX_WEEKS)
    monkeypatch.setattr(package, "_kept", set())  # as another process, or the next day
    again = adding(count=3)
    files, _ = read_code(ledger().records, again.header["package"])
    assert files
    assert verify(ledger()).findings == ()


class Interrupted(Exception):
    pass


def test_who_used_an_artifact_before_it_was_condemned_keeps_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a collection's first look and its last, another process finds the artifact in the cache."""
    run = adding(count=3)
    made = digests(run)
    Client().delete(run)
    collection = collecting._Collection(ledger(), IN_SIX_WEEKS)
    look_again = collection._still_unused

    def meanwhile(candidates: list[Any]) -> list[Any]:
        for candidate in candidates:
            if candidate.folder.startswith("artifacts/"):
                mark = store / candidate.folder / "used" / "2099-01-01"
                mark.parent.mkdir(exist_ok=True)
                mark.write_bytes(b"")
        return look_again(candidates)

    monkeypatch.setattr(collection, "_still_unused", meanwhile)
    assert not [each for each in collection.delete() if each.kind == "artifact"]
    assert len(made) == 2
    assert all(whole(store, digest) for digest in made)


def test_a_run_that_began_meanwhile_keeps_what_it_reaches(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted = adding(count=3)
    Client().delete(deleted)
    collection = collecting._Collection(ledger(), IN_SIX_WEEKS)
    look_again = collection._still_unused
    made: list[Any] = []

    def meanwhile(candidates: list[Any]) -> list[Any]:
        assert candidates
        made.append(adding.with_options(enable_cache=False)(count=3))
        return look_again(candidates)

    monkeypatch.setattr(collection, "_still_unused", meanwhile)
    collection.delete()
    assert made[0].status == "completed"
    assert Client().get_run(made[0].id).steps["total"].outputs["output"].load() == 3
    assert verify(ledger()).findings == ()


def test_a_writer_that_sees_a_condemned_artifact_stores_it_anew_and_both_ends_are_well(store: Path) -> None:
    """The collection dies between condemning and deleting; then the step runs again; then another collection comes."""
    run = adding.with_options(enable_cache=False)(count=3)
    Client().delete(run)
    collection = collecting._Collection(ledger(), IN_SIX_WEEKS)
    for candidate in collection._candidates():
        collection._store.create(f"{candidate.folder}/condemned/{candidate.newest}", b"")
    again = adding(count=3)
    found = again.steps["total"].outputs["output"]
    assert (store / "artifacts" / found.digest / "g1" / "manifest.json").exists()
    assert Client().get_run(again.id).steps["total"].outputs["output"].load() == 3
    collect(ledger(), now=IN_SIX_WEEKS)
    assert Client().get_run(again.id).steps["total"].outputs["output"].load() == 3
    assert verify(ledger()).findings == ()


def test_an_artifact_that_was_condemned_and_spared_is_read_as_before(store: Path) -> None:
    run = adding(count=3)
    found = run.steps["total"].outputs["output"]
    (store / "artifacts" / found.digest / "condemned").mkdir()
    (store / "artifacts" / found.digest / "condemned" / "0").write_bytes(b"")
    assert Client().get_run(run.id).steps["total"].outputs["output"].load() == 3
    assert verify(ledger()).findings == ()


def test_what_was_deleted_can_be_made_and_deleted_again(store: Path) -> None:
    for _ in range(3):
        run = adding(count=3)
        assert run.status == "completed"
        assert run.steps["total"].outputs["output"].load() == 3
        Client().delete(run)
        assert kinds(collect(ledger(), now=IN_SIX_WEEKS))["artifact"] == 2
    assert verify(ledger()).findings == ()


def test_a_collection_that_dies_anywhere_leaves_a_sound_store(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept, deleted = adding(count=3), mapping(count=5)
    of_kept, of_deleted = digests(kept), digests(deleted)
    Client().delete(deleted)
    backup = tmp_path / "backup"
    shutil.copytree(store, backup)
    number, died = 0, True
    while died:
        number += 1
        shutil.rmtree(store)
        shutil.copytree(backup, store)
        died = _dies_at(ledger(), number)
        assert verify(ledger()).findings == (), f"after operation {number}"
        assert all(whole(store, digest) for digest in of_kept)
        assert _dies_at(ledger(), 10_000) is False
        assert not any(whole(store, digest) for digest in of_deleted - of_kept)
    assert number > 20


def _dies_at(ledger: Ledger, number: int) -> bool:
    """Whether the collection was ended before the operation of that number that changes the store."""
    left = [number]
    kept = {name: getattr(type(ledger.store), name) for name in ("create", "delete", "delete_folder")}
    cls = type(ledger.store)

    def dying(name: str) -> Any:
        def operation(self: Any, *arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Interrupted
            return kept[name](self, *arguments)

        return operation

    try:
        for name in kept:
            setattr(cls, name, dying(name))
        collect(ledger, now=IN_SIX_WEEKS)
    except Interrupted:
        return True
    finally:
        for name, original in kept.items():
            setattr(cls, name, original)
    return False


def test_a_deletion_that_was_cut_short_is_finished(store: Path) -> None:
    run = adding(count=3)
    Client().ledger.change({"delete": True, "run": run.id})
    assert kinds(collect(ledger())) == {"run": 1}
    assert not (store / layout.run(run.id)).exists()


def test_nothing_is_deleted_while_a_record_cannot_be_read(store: Path) -> None:
    kept, deleted = adding(count=3), adding(count=9)
    of_deleted = digests(deleted)
    Client().delete(deleted)
    (store / layout.run(kept.id) / "steps" / "total" / "outcome.json").write_text("{half")
    with pytest.raises(StoreError, match=r"Nothing is deleted while .*/total/outcome.json cannot be read.*store verify --repair"):
        collect(ledger(), now=IN_SIX_WEEKS)
    assert all(whole(store, digest) for digest in of_deleted)


def test_what_a_damaged_record_named_stays_after_it_was_moved_aside(store: Path) -> None:
    run = adding.with_options(enable_cache=False)(count=3)
    for path in (store / layout.run(run.id)).rglob("*.json"):
        path.write_text(path.read_text()[:-1])
    verify(ledger(), repair=True)
    collect(ledger(), now=IN_SIX_WEEKS)
    assert all(whole(store, digest) for digest in digests_on_disk(store))
    assert len(digests_on_disk(store)) == 2


def digests_on_disk(store: Path) -> list[str]:
    return [path.name for path in (store / "artifacts").iterdir()]


def test_leftovers_of_dead_writers_go_after_14_days(store: Path) -> None:
    adding(count=3)
    staging = store / "tmp" / "999-abc"
    (staging / "data").mkdir(parents=True)
    (staging / "data" / "big").write_bytes(b"x" * 1000)
    (store / "canary").mkdir(exist_ok=True)
    (store / "canary" / "c").write_bytes(b"y")
    assert find_garbage(ledger()) == []
    gone = collect(ledger(), now=IN_THREE_WEEKS)
    assert {(each.kind, each.bytes) for each in gone} == {("leftover", 1000), ("leftover", 1)}
    assert not staging.exists()


def test_a_newer_store_is_not_touched(store: Path) -> None:
    adding(count=3)
    (store / "format.json").write_text(json.dumps({"store": "x", "layout": 99, "hash": "blake3"}))
    with pytest.raises(NewerLayout):
        collect(ledger(), now=IN_SIX_WEEKS)


def test_a_store_in_which_nothing_was_written_has_nothing_to_collect() -> None:
    assert collect(ledger()) == []


def test_the_cache_takes_a_damaged_artifact_for_one_that_is_not_there(store: Path) -> None:
    run = adding(count=3)
    digest = run.steps["numbers"].outputs["output"].digest
    manifest = store / "artifacts" / digest / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(Corrupt):
        ledger().artifacts.find(digest)
    assert ledger().cache.find(run.steps["numbers"].outcome["key"], lambda entry: True) is None


def test_a_model_version_counts_as_long_as_its_run_is_kept(store: Path) -> None:
    run = modelling(count=3)
    collect(ledger(), now=IN_SIX_WEEKS)
    assert Client().get_model_version("sums").load_artifact("output") == 3
    assert all(whole(store, digest) for digest in digests(run))


def test_a_damaged_change_says_nothing_and_deletes_nothing(store: Path) -> None:
    run = adding(count=3)
    Client().ledger.change({"delete": True, "run": run.id})
    next((store / "changes").rglob("*.json")).write_text("{")
    assert collect(ledger(), now=IN_SIX_WEEKS) == []


def test_a_damaged_manifest_of_a_kept_run_stops_the_collection(store: Path) -> None:
    run = mapping(count=3)
    manifest = store / "artifacts" / run.steps["squares"].outputs["output"].digest / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(StoreError, match="Nothing is deleted while"):
        collect(ledger(), now=IN_SIX_WEEKS)


def test_a_damaged_artifact_or_cache_entry_that_nobody_reaches_is_no_hindrance(store: Path) -> None:
    run = mapping(count=3)
    of_run = digests(run)
    Client().delete(run)
    for digest in sorted(of_run)[:2]:
        (store / "artifacts" / digest / "manifest.json").write_text("{}")
    next(store.glob("cache/*/*/*.json")).write_text("{")
    collect(ledger(), now=IN_SIX_WEEKS)
    assert not any(whole(store, digest) for digest in of_run)


def test_a_run_of_which_only_the_plan_was_written_goes_after_14_days(store: Path) -> None:
    adding(count=3)
    folder = store / layout.run(layout.new_run_id())
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text('{"steps": []}')
    assert find_garbage(ledger()) == []
    assert kinds(collect(ledger(), now=IN_THREE_WEEKS)) == {"run": 1}
    assert not folder.exists()


def test_old_marks_of_use_are_cleared_but_the_newest(store: Path) -> None:
    run = adding(count=3)
    used = store / "artifacts" / run.steps["total"].outputs["output"].digest / "used"
    assert adding(count=3).status == "cached"
    assert [mark.name for mark in used.iterdir()] == [layout.today()]
    (used / "2001-01-01").write_bytes(b"")
    (used / "2002-02-02").write_bytes(b"")
    collect(ledger())
    assert [mark.name for mark in used.iterdir()] == [layout.today()]


def test_a_collection_that_died_after_condemning_postpones_nothing(store: Path) -> None:
    run = adding.with_options(enable_cache=False)(count=3)
    Client().delete(run)
    for path in (store / "artifacts").rglob("*"):
        os.utime(path, (time.time() - 20 * DAY,) * 2)
    collection = collecting._Collection(ledger(), None)
    candidates = collection._candidates()
    assert len(candidates) == 2
    for candidate in candidates:
        collection._store.create(f"{candidate.folder}/condemned/{candidate.newest}", b"")
    assert kinds(collect(ledger()))["artifact"] == 2
