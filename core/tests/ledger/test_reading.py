"""What readers are promised: nothing half, nothing hidden by something damaged, an index that may go at any moment."""

from __future__ import annotations

import json
import os
import threading
from typing import Annotated

import pytest

from dovetail import Client, Model, RunFailed, pipeline, step
from dovetail.errors import Corrupt, DovetailError, NotFound, StoreError
from dovetail.values.project import cache_folder


@step
def give(x: int) -> Annotated[list, "given"]:
    return [x] * 3


@step
def take(xs: list) -> int:
    return sum(xs)


@pipeline(model=Model("m"))
def p(x: int) -> None:
    take(give(x))


def damage(path, data: bytes = b"{damaged") -> None:
    if path.exists():
        os.chmod(path, 0o644)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def run_folder(store_root, run):
    return next(store_root.glob(f"runs/*/{run.id}"))


def forget_index() -> None:
    for path in cache_folder().glob("index.sqlite*"):
        path.unlink(missing_ok=True)  # SQLite takes its own aside files away


@pytest.mark.parametrize("name", ["run.json", "plan.json", "finished.json", "steps/give/outcome.json", "steps/give/attempts/1/started.json"])
@pytest.mark.parametrize("data", [b"", b"{damaged", b"[]", b"{}", b'{"id": 5, "steps": [], "status": "odd"}'], ids=["empty", "torn", "list", "bare", "odd"])
def test_a_damaged_record_of_a_run_hides_no_other_run_and_no_other_artifact(store_root, name, data) -> None:
    first, second, third = p(1), p(2), p(3)
    damage(run_folder(store_root, second) / name, data)
    forget_index()
    client = Client()
    listed = [run.id for run in client.list_runs()]
    assert [run_id for run_id in listed if run_id != second.id] == [third.id, first.id]
    assert [artifact.load() for artifact in client.list_artifacts("given") if artifact.version != 2] == [[3, 3, 3], [1, 1, 1]]
    assert client.get_run(third.id).steps["take"].output.load() == 9
    assert client.get_run(first.name).id == first.id
    assert client.get_pipeline("p").last_run.id == third.id
    assert client.get_model("m").latest.version == 3
    assert p(4).status == "completed"
    assert p(1).status == "cached"
    assert [run.id for run in client.get_artifact("given", 3).producer.run.query.list_runs(limit=1)]


@pytest.mark.parametrize("name", ["names/artifacts/given/2.json", "names/models/m/versions/2.json"])
@pytest.mark.parametrize("data", [b"", b"{damaged", b"[]", b"{}", b'{"name": 3, "run": "../x", "digest": "zz"}'], ids=["empty", "torn", "list", "bare", "odd"])
def test_a_damaged_version_record_hides_no_other_version(store_root, name, data) -> None:
    for x in (1, 2, 3):
        p(x)
    damage(store_root / name, data)
    client = Client()
    assert [found.version for found in client.list_artifacts("given")] in ([3, 1], [3, 2, 1])
    assert [found.version for found in client.get_model("m").versions] in ([3, 1], [3, 2, 1])
    assert client.get_artifact("given").load() == [3, 3, 3]
    assert "given" in {found.name for found in client.list_artifacts()}
    assert p(5).models == {"m": 4}


@pytest.mark.parametrize("data", [b"", b"{damaged", b"[]", b"{}", b'{"outputs": 5}'], ids=["empty", "torn", "list", "bare", "odd"])
def test_a_damaged_cache_entry_is_passed_over(store_root, data) -> None:
    p(1)
    for path in store_root.glob("cache/*/*/*.json"):
        damage(path, data)
    assert p(1).status == "completed"
    assert p(1).status == "cached"


@pytest.mark.parametrize("data", [b"", b"{damaged", b"[]", b"{}"], ids=["empty", "torn", "list", "bare"])
def test_a_damaged_change_hides_no_other_and_no_run(store_root, data) -> None:
    run = p(1)
    client = Client()
    client.tag(run, "before")
    client.tag(run, "after")
    damage(min(store_root.glob("changes/*/*.json")), data)
    for _ in range(2):
        forget_index()
        client = Client()
        assert [found.id for found in client.list_runs()] == [run.id]
        assert client.get_run(run.id).tags == ("after",)


@pytest.mark.parametrize("data", [b"", b"{damaged", b"[]", b"{}"], ids=["empty", "torn", "list", "bare"])
def test_a_damaged_format_says_so_in_one_sentence(store_root, data) -> None:
    p(1)
    damage(store_root / "format.json", data)
    for ask in (lambda: Client().list_runs(), lambda: p(1)):
        with pytest.raises(StoreError, match="format.json|layout") as told:
            ask()
        assert "\n" not in str(told.value)


def test_a_damaged_manifest_or_payload_is_an_error_that_names_it_and_never_a_wrong_value(store_root) -> None:
    run = p(1)
    artifact = run.steps["give"].output
    (payload,) = [path for path in artifact.path.rglob("*") if path.is_file()]
    before = payload.read_bytes()
    for data in (before[:-1], before.replace(b"1", b"2"), b""):
        damage(payload, data)
        with pytest.raises(Corrupt, match=artifact.digest[:12]):
            Client().get_artifact("given").load()
    damage(payload, before)
    assert Client().get_artifact("given").load() == [1, 1, 1]
    damage(artifact.path.parent / "manifest.json")
    with pytest.raises(Corrupt):
        Client().get_artifact("given").load()


def test_a_payload_edited_between_two_reads_of_one_process_is_noticed(store_root) -> None:
    artifact = p(1).steps["give"].output
    assert artifact.load() == [1, 1, 1]
    (payload,) = [path for path in artifact.path.rglob("*") if path.is_file()]
    damage(payload, payload.read_bytes().replace(b"1", b"7"))
    with pytest.raises(Corrupt):
        artifact.load()


def test_a_damaged_input_fails_the_step_that_reads_it_and_no_value_is_made_up(store_root) -> None:
    artifact = p(1).steps["give"].output
    (payload,) = [path for path in artifact.path.rglob("*") if path.is_file()]
    damage(payload, payload.read_bytes().replace(b"1", b"7"))

    @step
    def other(xs: list) -> int:
        return max(xs)

    @pipeline(name="p")
    def q(x: int) -> None:
        other(give(x))

    with pytest.raises(RunFailed, match="is not what was written"):
        q(1)


def test_the_index_may_be_deleted_damaged_or_unwritable_at_any_moment(store_root) -> None:
    runs = [p(x) for x in range(3)]
    expected = [run.id for run in reversed(runs)]
    client = Client()
    assert [run.id for run in client.list_runs()] == expected
    forget_index()
    assert [run.id for run in client.list_runs()] == expected  # the open connection
    assert [run.id for run in Client().list_runs()] == expected
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        path = cache_folder() / name
        path.unlink(missing_ok=True)
        path.write_bytes(b"this is no database" * 100)
        assert [run.id for run in Client().list_runs()] == expected, name
        assert Client().get_artifact("given").consumers[0].name == "take"
    forget_index()
    (cache_folder() / "index.sqlite").mkdir()
    assert [run.id for run in Client().list_runs()] == expected
    os.rmdir(cache_folder() / "index.sqlite")


def test_queries_go_on_while_the_index_is_deleted_again_and_again() -> None:
    runs = [p(x) for x in range(4)]
    expected = [run.id for run in reversed(runs)]
    over, wrong = threading.Event(), []

    def delete() -> None:
        while not over.is_set():
            for path in cache_folder().glob("index.sqlite*"):
                path.unlink(missing_ok=True)

    def ask() -> None:
        try:
            for _ in range(30):
                client = Client()
                if [run.id for run in client.list_runs()] != expected:
                    wrong.append("other runs")
                if client.get_artifact("given", 1).producer.run.id != runs[0].id:
                    wrong.append("another producer")
        except Exception as error:  # noqa: BLE001
            wrong.append(repr(error))

    deleting = threading.Thread(target=delete)
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in (deleting, *asking):
        thread.start()
    for thread in asking:
        thread.join()
    over.set()
    deleting.join()
    assert wrong == []


def test_the_index_is_no_part_of_the_truth(store_root, tmp_path) -> None:
    """A record that is deleted from the store is gone, and a run copied into it is there."""
    import shutil

    first, second = p(1), p(2)
    assert len(Client().list_runs()) == 2
    aside = tmp_path / "aside"
    shutil.move(run_folder(store_root, first), aside)
    assert [run.id for run in Client().list_runs()] == [second.id]
    shutil.move(aside, store_root / "runs" / f"{first.created:%Y-%m-%d}" / first.id)
    assert [run.id for run in Client().list_runs()] == [second.id, first.id]


def test_a_version_whose_step_run_never_committed_is_void_and_its_number_not_used_again(store_root) -> None:
    p(1)
    run = p(2)
    os.unlink(run_folder(store_root, run) / "steps" / "give" / "outcome.json")
    client = Client()
    assert [found.version for found in client.list_artifacts("given")] == [1]
    with pytest.raises(NotFound):
        client.get_artifact("given", 2)
    assert p(3).steps["give"].output.version == 3


def test_a_run_folder_without_a_run_record_is_no_run(store_root) -> None:
    from dovetail.ledger import layout

    run = p(1)
    ghost = layout.new_run_id()
    (store_root / "runs" / layout.day_of(ghost) / ghost).mkdir(parents=True)
    (store_root / "runs" / layout.day_of(ghost) / ghost / "plan.json").write_text("{}")
    client = Client()
    assert [found.id for found in client.list_runs()] == [run.id]
    assert client.get_run(run.name).id == run.id
    assert client.get_run(run.id[:20]).id == run.id
    assert client.get_pipeline("p").last_run.id == run.id
    with pytest.raises(NotFound, match="no run 'nothing'"):
        client.get_run("nothing")
    with pytest.raises(NotFound):
        client.get_run(ghost)
    assert client.get_artifact("given").consumers[0].run.id == run.id


def test_a_finished_run_stays_as_it_ended(store_root) -> None:
    run = p(1)
    ledger = Client().ledger
    assert ledger.run(run.id).finish({"status": "failed", "steps": {}}) is False
    assert ledger.run(run.id).commit("give", {"status": "failed", "outputs": {}}) is False
    assert Client().get_run(run.id).status == "completed"
    assert Client().get_run(run.id).steps["give"].output.load() == [1, 1, 1]


def test_a_run_whose_lease_is_stale_and_whose_process_cannot_be_asked_is_interrupted(store_root, check_store) -> None:
    """As a reader on another machine sees it: nothing tells but the heartbeat's age."""
    run_id = _unfinished(store_root)
    folder = next(store_root.glob(f"runs/*/{run_id}"))
    elsewhere = {"pid": 4, "started": "1", "host": "h", "boot": "another boot", "machine": "another", "namespace": "another"}
    (folder / "heartbeat").write_text(json.dumps(elsewhere))
    assert Client().get_run(run_id).status == "running"
    past = (folder / "heartbeat").stat().st_mtime - 31
    os.utime(folder / "heartbeat", (past, past))
    assert Client().get_run(run_id).status == "interrupted"
    assert check_store(store_root) == []


def test_a_heartbeat_that_cannot_be_read_is_as_good_as_its_age(store_root) -> None:
    run_id = _unfinished(store_root)
    folder = next(store_root.glob(f"runs/*/{run_id}"))
    header = json.loads((folder / "run.json").read_text())
    header["owner"] = {"pid": 4, "started": "1", "boot": "another"}
    damage(folder / "run.json", json.dumps(header).encode())
    (folder / "heartbeat").write_bytes(b"\x00torn")
    assert Client().get_run(run_id).status == "running"
    past = (folder / "heartbeat").stat().st_mtime - 31
    os.utime(folder / "heartbeat", (past, past))
    assert Client().get_run(run_id).status == "interrupted"


def _unfinished(store_root) -> str:
    """A run that was begun, and of which one step has ended."""
    from dovetail.execution.running import begin
    from dovetail.planning.planner import Planner, Request
    from dovetail.planning.workspace import open_workspace

    workspace = open_workspace()
    plan = Planner(workspace, p.trace(1), Request()).plan()
    begin(plan, workspace)
    workspace.ledger.run(plan.run_id).start_attempt("give", 1, {"started": plan.created})
    return plan.run_id


def test_a_reader_that_cannot_write_sees_what_is_there(store_root, monkeypatch) -> None:
    """A store mounted read-only: nothing is closed or repaired, and nothing is lost to the reader."""
    from dovetail.local.artifact_store import LocalArtifactStore

    run = p(1)
    open_run = _unfinished(store_root)
    folder = next(store_root.glob(f"runs/*/{open_run}"))
    header = json.loads((folder / "run.json").read_text())
    header["owner"] = {"pid": 1 << 22, "started": "1", **{key: header["owner"][key] for key in ("boot", "machine", "host", "namespace")}}
    damage(folder / "run.json", json.dumps(header).encode())

    def refuse(self, path, data):
        raise PermissionError(13, "read-only", path)

    monkeypatch.setattr(LocalArtifactStore, "create", refuse)
    client = Client()
    assert {found.id for found in client.list_runs()} == {run.id, open_run}
    assert client.get_run(run.id).steps["give"].output.load() == [1, 1, 1]
    assert client.get_run(open_run).status in ("running", "initializing", "interrupted")


_ = DovetailError
