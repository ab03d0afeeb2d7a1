"""The comparison finds what is wrong: records are changed behind its back, one thing at a time, and each change is told of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, save_artifact
from dovetail.client.views import Run
from matrix.accounts import Account, Verdict, judged
from matrix.backends import FOLDER, PROCESSES, REFERENCE, Backend
from matrix.site import Site, site_on

Change = Callable[[dict[str, Any]], Any]
FOLDERS = {"local folder": lambda folder: {"path": str(folder / "store")}}


@dataclass(frozen=True)
class Wrong:
    """`change` is made to the last run's record of that path. `told`: what the comparison has to name."""

    name: str
    pipelines: Sequence[str]
    path: str
    change: Change
    told: str


def outcome(step: str) -> str:
    return f"steps/{step}/outcome.json"


def set_output(step: str, of: str) -> Change:
    """Give a step the output of another."""

    def change(record: dict[str, Any]) -> None:
        record["outputs"]["output"]["digest"] = record["_others"][of]["outputs"]["output"]["digest"]

    return change


def swallow(record: dict[str, Any]) -> None:
    record["status"] = "completed"
    del record["error"]


def run_again(record: dict[str, Any]) -> None:
    record["status"] = "completed"
    del record["cached"]


def take_from(run: str) -> Change:
    return lambda record: record["cached"].update(run_name=run)


def other_input(record: dict[str, Any]) -> None:
    record["inputs"]["value"]["artifact"] = record["_others"]["bounds"]["outputs"]["high"]["digest"]


WRONG = [
    Wrong("a changed digest", ["graphs:diamond"], outcome("left"), set_output("left", "right"), "steps, left, outputs, output, digest"),
    Wrong("an output that is lost", ["graphs:diamond"], outcome("bounds"), lambda r: r["outputs"].pop("high"), "bounds, outputs, high"),
    Wrong("another version", ["graphs:diamond"], outcome("bounds"), lambda r: r["outputs"]["high"].update(version=2), "high, version"),
    Wrong("another lineage", ["graphs:diamond"], outcome("left"), other_input, "steps, left, inputs, value"),
    Wrong("a lost parameter", ["graphs:diamond"], outcome("right"), lambda r: r["inputs"].pop("by"), "right, parameters, by"),
    Wrong("another key", ["graphs:diamond"], outcome("left"), lambda r: r.update(key="0" * 64), "steps, left, key"),
    Wrong("lost metadata", ["said:talkative"], outcome("trained"), lambda r: r["metadata"].pop("rows"), "trained, metadata, rows"),
    Wrong("a lost point of a metric", ["said:talkative"], outcome("trained"), lambda r: r["metrics"]["loss"].pop(), "metrics, loss"),
    Wrong("a metric without its step", ["said:talkative"], outcome("trained"), lambda r: r["metrics"]["loss"][0].__setitem__(1, None), "loss"),
    Wrong("a param of another type", ["said:talkative"], outcome("trained"), lambda r: r["params"].update(rate="0.5"), "params, rate"),
    Wrong("lost tags", ["said:talkative"], "finished.json", lambda r: r.update(tags=[]), "tags"),
    Wrong("lost metadata of an artifact", ["said:report"], outcome("reported"), lambda r: r["outputs"]["report"].pop("metadata"), "report, metadata"),
    Wrong("a swallowed failure", ["failing:spoiled"], outcome("dough"), swallow, "steps, dough, status"),
    Wrong("a run that hides its failure", ["failing:spoiled"], "finished.json", lambda r: r.update(status="completed"), "status"),
    Wrong("another error", ["failing:spoiled"], outcome("dough"), lambda r: r["error"].update(message="something"), "dough, error"),
    Wrong("another reason for a skip", ["failing:spoiled"], outcome("loaf"), lambda r: r.update(why="no reason"), "loaf, why"),
    Wrong("a cached step that says that it ran", ["graphs:chain", "graphs:chain"], outcome("link_1"), run_again, "link_1, status"),
    Wrong("a result taken from another run", ["graphs:chain", "graphs:chain"], outcome("link_1"), take_from("another"), "link_1, why"),
    Wrong("a lost attempt", ["failing:retried"], outcome("flaky"), lambda r: r.update(attempt=1), "flaky, attempts"),
    Wrong("a lost item", ["graphs:mapped"], "steps/scaled/expansion.json", lambda r: r["children"].pop(), "scaled, children"),
    Wrong("a lost reading", ["caching:stock"], outcome("stocked"), lambda r: r.update(readings=[]), "stocked, readings"),
    Wrong("a dropped setting", ["said:with_resources"], "plan.json", lambda r: r["steps"][0]["options"].pop("resources"), "settings, resources"),
    Wrong("variables that were not set", ["said:variables"], outcome("set"), set_output("set", "not_set"), "set, outputs, output, digest"),
    Wrong("a step that is lost", ["graphs:diamond"], "finished.json", lambda r: r["steps"].pop("right"), "steps, right"),
    Wrong("a lost model version", ["said:training"], "finished.json", lambda r: r.update(models={}), "models, churn"),
]  # fmt: skip


@contextmanager
def on_reference(folder: Path) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        with site_on(REFERENCE, FOLDERS, folder, monkeypatch) as site:
            yield site


def ran(site: Site, pipelines: Sequence[str]) -> Run:
    """The last run, with each noted; parameters are what the cases give."""
    given = {"said:training": {"rows": 10}}
    return [site.run(where, given.get(where)) for where in pipelines][-1]


def folder_of(run: Run, store: Path) -> Path:
    return next(store.glob(f"runs/*/{run.id}"))


def changed(site: Site, run: Run, path: str, change: Change) -> None:
    """Change a record of the run in the store, and note the run anew as who has never seen it."""
    folder = folder_of(run, site.folder.parent / "store")
    place = folder / path
    record = json.loads(place.read_text(encoding="utf-8"))
    record["_others"] = {found.parent.name: json.loads(found.read_text(encoding="utf-8")) for found in folder.glob("steps/*/outcome.json")}
    change(record)
    del record["_others"]
    place.write_text(json.dumps(record), encoding="utf-8")
    shutil.rmtree(site.folder.parent / "cache", ignore_errors=True)
    site.note_run(Client().get_run(run.id))


def account(site: Site) -> Account:
    return Account(site.found, site.values.loaded)


@pytest.mark.parametrize("wrong", WRONG, ids=[wrong.name.replace(" ", "-") for wrong in WRONG])
def test_each_wrong_record_is_caught_and_named(wrong: Wrong, tmp_path: Path) -> None:
    with on_reference(tmp_path / "reference") as site:
        ran(site, wrong.pipelines)
        reference = account(site)
    with on_reference(tmp_path / "wrong") as site:
        run = ran(site, wrong.pipelines)
        assert judged(REFERENCE, reference, account(site)) == (Verdict.SAME, [])
        changed(site, run, wrong.path, wrong.change)
        verdict, why = judged(REFERENCE, reference, account(site))
    assert verdict is Verdict.DIFFERENT
    assert [line for line in why if wrong.told in line.partition(":")[0]], why


def test_another_log_is_caught(tmp_path: Path) -> None:
    with on_reference(tmp_path / "site") as site:
        run = site.run("said:logs")
        reference = account(site)
        log = next(folder_of(run, tmp_path / "site" / "store").glob("steps/chatty/attempts/1/log/*"))
        log.write_text(log.read_text(encoding="utf-8").replace("Zeile 1", "Zeile 7"), encoding="utf-8")
        site.found = {}
        site.note_run(Client().get_run(run.id))
        verdict, why = judged(REFERENCE, reference, account(site))
    assert (verdict, len(why)) == (Verdict.DIFFERENT, 1)
    assert "chatty, log" in why[0]


@pytest.mark.filterwarnings("ignore::dovetail.materializers.pickles.PickleWarning")
def test_of_bytes_that_are_not_certain_the_value_counts(tmp_path: Path) -> None:
    with on_reference(tmp_path / "reference") as site:
        site.run("values:pickled")
        reference = account(site)
    with on_reference(tmp_path / "wrong") as site:
        run = site.run("values:pickled")
        assert judged(REFERENCE, reference, account(site)) == (Verdict.SAME, [])
        tin = run.steps["tin"].output.load()
        tin.width = 13
        other = save_artifact(tin, "another").digest
        site.values.loaded.clear()
        site.values.marks.clear()
        changed(site, run, outcome("tin"), lambda record: record["outputs"]["output"].update(digest=other))
        verdict, why = judged(REFERENCE, reference, account(site))
    assert verdict is Verdict.DIFFERENT
    assert any("the value of tin.output" in line for line in why), why


def test_what_a_case_notes_is_compared_too() -> None:
    assert judged(REFERENCE, Account({"numbers": [1, 2]}), Account({"numbers": [1, 3]}))[0] is Verdict.DIFFERENT
    assert judged(REFERENCE, Account({"numbers": [1, 2]}), Account({}))[0] is Verdict.DIFFERENT
    assert judged(REFERENCE, Account({"truth": True}), Account({"truth": 1}))[0] is Verdict.DIFFERENT


PROCESSES_HERE = Backend(PROCESSES, FOLDER)
_GPU = "Step 'a' sets resources.gpu, which orchestrator 'local-processes' (flavor local) cannot honour."


def test_a_refusal_counts_as_one_if_it_is_declared_and_names_the_component() -> None:
    verdict, why = judged(PROCESSES_HERE, Account(), Account(refusals=(_GPU,)))
    assert (verdict, why) == (Verdict.REFUSED, [PROCESSES.refuses["sets resources.gpu"]])


@pytest.mark.parametrize(
    "refusal",
    [
        "Step 'a' sets retry, which orchestrator 'local-processes' (flavor local) cannot honour.",
        "Step 'a' sets resources.gpu, which cannot be.",
        "Step 'a' sets resources.gpu, which orchestrator 'docker' cannot honour.",
    ],
)
def test_any_other_refusal_is_a_difference(refusal: str) -> None:
    assert judged(PROCESSES_HERE, Account({"status": "completed"}), Account(refusals=(_GPU, refusal))) == (Verdict.DIFFERENT, [refusal])


def test_what_the_reference_refuses_and_a_backend_takes_is_never_called_the_same() -> None:
    assert judged(PROCESSES_HERE, Account(refusals=(_GPU,)), Account({"status": "completed"})) == (Verdict.BEYOND, [])
