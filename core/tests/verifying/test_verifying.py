"""What `store verify` finds, and what repairing does."""

from __future__ import annotations

import json
import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, RunFailed, save_artifact
from dovetail.errors import NewerLayout
from dovetail.ledger import layout
from dovetail.ledger.code_packages import store_code
from dovetail.ledger.verifying import verify

from .conftest import adding, failing, kinds, ledger, verified


def payload(store: Path, digest: str) -> Path:
    return next(path for path in (store / "artifacts" / digest / "data").rglob("*") if path.is_file())


def rewrite(path: Path, text: str) -> None:
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_text(text)


def changed(path: Path, **fields: Any) -> None:
    record = {**json.loads(path.read_text()), **fields}
    rewrite(path, json.dumps({name: value for name, value in record.items() if value != "gone"}))


def test_a_sound_store_is_sound_and_counted(store: Path) -> None:
    run = adding(count=4)
    found = verified()
    assert found.findings == ()
    assert found.is_sound
    assert found.artifacts == len({path.name for path in (store / "artifacts").iterdir()})
    assert found.records == sum(path.suffix == ".json" for top in ("runs", "names", "cache") for path in (store / top).rglob("*"))
    assert found.bytes == sum(path.stat().st_size for path in store.glob("artifacts/*/data/*"))
    assert (found.void, found.unfinished) == (0, 0)
    assert run.status == "completed"


def test_a_store_in_which_nothing_was_written_is_sound() -> None:
    assert verified().findings == ()


@pytest.mark.parametrize("damage", ["", "{", '{"status": "completed"', "[1]", "null", "\x00\x01", "{}"])
@pytest.mark.parametrize("name", ["run.json", "finished.json", "steps/total/outcome.json"])
def test_a_record_that_cannot_be_read_is_found_wherever_it_lies(store: Path, name: str, damage: str) -> None:
    run = adding(count=3)
    rewrite(store / layout.run(run.id) / name, damage)
    found = verified()
    assert ("unreadable", name.rpartition("/")[2]) in kinds(found)
    assert [finding.path for finding in found.findings if finding.kind == "unreadable"] == [f"{layout.run(run.id)}/{name}"]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "great"},
        {"started": "gone"},
        {"ended": "yesterday"},
        {"outputs": {"output": {"digest": "../../etc/passwd"}}},
        {"outputs": {"output": {"digest": "0" * 64, "artifact": "../x", "version": 1}}},
        {"outputs": [1]},
    ],
)
def test_an_outcome_that_lacks_what_readers_count_on_is_unreadable(store: Path, fields: dict[str, Any]) -> None:
    run = adding(count=3)
    changed(store / layout.run(run.id) / "steps" / "total" / "outcome.json", **fields)
    assert ("unreadable", "outcome.json") in kinds(verified())


@pytest.mark.parametrize("fields", [{"steps": {"../../x": {"status": "completed"}}}, {"steps": {"a": 1}}, {"pipeline": "a/b"}, {"status": 3}])
def test_a_finished_run_from_elsewhere_is_not_trusted(store: Path, fields: dict[str, Any]) -> None:
    run = adding(count=3)
    changed(store / layout.run(run.id) / "finished.json", **fields)
    assert ("unreadable", "finished.json") in kinds(verified())


def test_every_flipped_byte_of_payload_is_found(store: Path) -> None:
    adding(count=3)
    files = [path for path in (store / "artifacts").rglob("*") if path.is_file() and "data" in path.parts]
    for path in files:
        whole = path.read_bytes()
        place = random.Random(path.name).randrange(len(whole))
        path.chmod(0o644)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        (finding,) = verified().findings
        assert (finding.kind, finding.path) == ("damaged", str(path.relative_to(store)))
        assert "is not what was written" in finding.problem
        path.write_bytes(whole)
    assert len(files) >= 4
    assert verified().findings == ()


def test_a_payload_file_that_is_missing_or_foreign_is_found(store: Path) -> None:
    run = adding(count=3)
    file = payload(store, run.steps["total"].outputs["output"].digest)
    other = file.with_name("more")
    other.write_text("x")
    assert "was not written by Dovetail" in verified().findings[0].problem
    other.unlink()
    file.unlink()
    assert "is missing" in verified().findings[0].problem


def test_a_manifest_that_says_something_else_than_was_written_is_found(store: Path) -> None:
    run = adding(count=3)
    manifest = store / "artifacts" / run.steps["numbers"].outputs["output"].digest / "manifest.json"
    whole = manifest.read_text()
    for text in (whole.replace("builtins:list", "builtins:tuple"), whole[:-3], "{}", '{"files": {"a": 1}}'):
        rewrite(manifest, text)
        (finding,) = verified().findings
        assert (finding.kind, finding.path.rpartition("/")[2]) == ("damaged", "manifest.json")


def test_a_payload_path_that_leaves_its_folder_is_damage_and_is_not_followed(store: Path, tmp_path: Path) -> None:
    from dovetail.digest import of_json
    from dovetail.values.artifacts import Manifest

    adding(count=3)
    (store.parent / "outside").write_text("x")
    manifest = Manifest("builtins:bytes", "m:M", 1, {"../../../../outside": (1, "0" * 64)})
    folder = store / "artifacts" / of_json(manifest.covered())
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest.to_json()))
    found = verified(repair=True)
    assert any("cannot be in an artifact" in finding.problem for finding in found.findings)
    assert (store.parent / "outside").read_text() == "x"


def test_what_a_record_names_and_is_not_there_is_found_once(store: Path) -> None:
    run = adding(count=3)
    digest = run.steps["numbers"].outputs["output"].digest
    (store / "artifacts" / digest / "manifest.json").unlink()
    found = verified()
    assert [finding.kind for finding in found.findings] == ["missing"]
    assert f"Step 'numbers' of run {run.id} gave 'output', which is artifact {digest[:12]} and not there." in found.findings[0].problem


def test_a_list_that_lacks_an_item_is_found(store: Path) -> None:
    run = adding(count=3)
    listed = run.steps["double"].outputs["output"]
    for child in ("double.0", "double.1", "double.2"):
        changed(store / layout.run(run.id) / "steps" / child / "outcome.json", outputs={})
    (store / "artifacts" / listed.manifest.items[1] / "manifest.json").unlink()
    assert any("a list with the item" in finding.problem for finding in verified().findings)


def test_a_run_without_its_plan_its_code_or_an_outcome_is_found(store: Path) -> None:
    run = adding(count=3)
    base = store / layout.run(run.id)
    (base / "plan.json").unlink()
    (base / "steps" / "total" / "outcome.json").unlink()
    (store / layout.code(run.header["package"]) / "package.zip").unlink()
    problems = " ".join(finding.problem for finding in verified().findings)
    assert f"Run {run.id} has no plan.json." in problems
    assert f"Run {run.id} ended with step 'total', whose outcome is not there." in problems
    assert "kept its code in package" in problems


def test_a_terminal_status_that_changed_is_found(store: Path) -> None:
    run = adding(count=3)
    changed(store / layout.run(run.id) / "steps" / "total" / "outcome.json", status="failed")
    assert "ended with step 'total' as completed; its outcome says failed" in verified().findings[0].problem


def test_a_damaged_code_package_is_found(store: Path) -> None:
    run = adding(count=3)
    archive = store / layout.code(run.header["package"]) / "package.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-30])
    assert kinds(verified()) == [("damaged", "package.zip")]
    other = store_code(ledger().records, {"other.py": b"x = 1"}, {"other.py": "other.py"})
    archive.write_bytes((store / layout.code(other) / "package.zip").read_bytes())
    assert "is not what was written" in verified().findings[0].problem
    archive.write_bytes(whole)
    assert verified().findings == ()


def test_a_version_record_that_is_gone_is_found(store: Path) -> None:
    run = adding(count=3)
    output = run.steps["total"].outputs["output"]
    (store / layout.artifact_name(output.name) / f"{output.version}.json").unlink()
    (finding,) = verified().findings
    assert f"made version {output.version} of artifact '{output.name}', whose record is not there" in finding.problem


def test_a_version_that_a_client_saved_needs_its_artifact(store: Path) -> None:
    saved = save_artifact([1], "mine")
    assert verified().findings == ()
    (store / "artifacts" / saved.digest / "manifest.json").unlink()
    assert "Artifact 'mine', version 1, is" in verified().findings[0].problem


def test_what_a_dead_attempt_left_is_harmless_and_counted(store: Path) -> None:
    """A version without an outcome, an upload without a manifest, a run of which only the plan was written."""
    run = adding(count=3)
    ledger().versions.claim_artifact("adding.total.output", {"digest": "0" * 64, "run": run.id, "invocation": "lost", "output": "output", "at": 1.0})
    (store / "artifacts" / ("a" * 64) / "data").mkdir(parents=True)
    (store / "artifacts" / ("a" * 64) / "data" / "half").write_text("x")
    folder = store / layout.run(layout.new_run_id())
    folder.mkdir(parents=True)
    (folder / "plan.json").write_bytes((store / layout.run(run.id) / "plan.json").read_bytes())
    found = verified()
    assert found.findings == ()
    assert (found.void, found.unfinished) == (1, 1)


def test_a_deleted_run_is_not_missed(store: Path) -> None:
    run = adding(count=3)
    Client().ledger.change({"delete": True, "run": run.id})
    (store / layout.run(run.id) / "plan.json").unlink()
    assert verified().findings == ()


def test_repair_moves_aside_with_the_path_kept_and_deletes_nothing(store: Path) -> None:
    run = adding(count=3)
    outcome = store / layout.run(run.id) / "steps" / "total" / "outcome.json"
    file = payload(store, run.steps["total"].outputs["output"].digest)
    rewrite(outcome, "{half")
    rewrite(file, "other")
    before = {path.read_bytes() for path in store.rglob("*") if path.is_file()}
    found = verified(repair=True)
    moved = {finding.path: finding.moved_to for finding in found.findings if finding.moved_to}
    assert (store / "damaged" / outcome.relative_to(store)).read_text() == "{half"
    assert moved[str(file.relative_to(store))] == f"damaged/{file.relative_to(store)}"
    assert not outcome.exists()
    assert not file.exists()
    assert before == {path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_repairing_twice_the_same_path_keeps_both(store: Path) -> None:
    run = adding(count=3)
    outcome = store / layout.run(run.id) / "steps" / "total" / "outcome.json"
    rewrite(outcome, "{first")
    verified(repair=True)
    outcome.write_text("{second")
    verified(repair=True)
    aside = store / "damaged" / outcome.relative_to(store)
    assert (aside.read_text(), aside.with_name("outcome.json.1").read_text()) == ("{first", "{second")


def test_after_repair_the_step_runs_again_and_its_artifact_is_whole(store: Path) -> None:
    run = adding(count=3)
    digest = run.steps["total"].outputs["output"].digest
    rewrite(payload(store, digest), "other")
    assert not verified(repair=False).is_sound
    assert verified(repair=True).is_sound
    again = adding(count=3)
    assert (again.steps["numbers"].status, again.steps["total"].status) == ("cached", "completed")
    assert again.steps["total"].outputs["output"].digest == digest
    assert Client().get_run(again.id).steps["total"].outputs["output"].load() == 6
    assert verified().findings == ()


def test_a_damaged_record_hides_no_other_run(store: Path) -> None:
    damaged, whole = adding(count=3), adding(count=4)
    for name in ("finished.json", "run.json"):
        rewrite(store / layout.run(damaged.id) / name, "{}")
    for path in (store.parent.parent / "cache").glob("index.sqlite*"):
        path.unlink()
    assert [run.id for run in Client().list_runs()] == [whole.id]
    assert Client().get_run(whole.id[:-2]).id == whole.id
    verified(repair=True)
    assert [run.id for run in Client().list_runs()] == [whole.id]


def test_a_damaged_change_hides_no_run_and_is_moved_aside(store: Path) -> None:
    run = adding(count=3)
    Client().tag(run, "good")
    path = next((store / "changes").rglob("*.json"))
    path.write_text("{")
    assert [found.id for found in Client().list_runs()] == [run.id]
    assert kinds(verified(repair=True)) == [("unreadable", path.name)]
    assert verified().findings == ()


def test_a_version_from_elsewhere_with_an_odd_run_breaks_no_list(store: Path) -> None:
    adding(count=3)
    folder = store / "names" / "artifacts" / "odd"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps({"name": "odd", "digest": "0" * 64, "run": "../../x", "invocation": "a"}))
    names = [artifact.name for artifact in Client().list_artifacts()]
    assert "adding.total.output" in names
    assert "odd" not in names


def test_a_store_whose_format_cannot_be_read_is_told_of(store: Path) -> None:
    adding(count=3)
    rewrite(store / "format.json", "{")
    found = verify(ledger())
    assert [(finding.kind, finding.path) for finding in found.findings] == [("unreadable", "format.json")]


def test_a_newer_store_is_refused(store: Path) -> None:
    adding(count=3)
    rewrite(store / "format.json", json.dumps({"store": "x", "layout": 9, "hash": "blake3"}))
    with pytest.raises(NewerLayout):
        verified()


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read everything")
def test_a_record_that_may_not_be_read_is_told_of_and_left_alone(store: Path) -> None:
    run = adding(count=3)
    outcome = store / layout.run(run.id) / "steps" / "total" / "outcome.json"
    outcome.chmod(0)
    found = verified(repair=True)
    assert [finding.moved_to for finding in found.findings if finding.kind == "unreadable"] == [None]
    assert outcome.exists()


def test_a_failed_run_is_sound(store: Path) -> None:
    with pytest.raises(RunFailed):
        failing()
    assert verified().findings == ()
