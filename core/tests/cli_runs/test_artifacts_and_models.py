"""`dovetail artifacts …`, `dovetail models …` and `dovetail pipelines list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, save_artifact

from .conftest import edit

Cli = Callable[..., Any]


@pytest.fixture
def two(does: Cli) -> None:
    does("run", "flow.py")
    does("run", "flow.py", "--param", "factor=3")


def test_the_newest_version_of_each_artifact_is_listed_or_all_of_one(does: Cli, two: None) -> None:
    rows = [line.split()[:3] for line in does("artifacts", "list").lines[1:]]
    assert rows == [["adding.total.output", "2", "int"], ["numbers", "1", "list"], ["scaled", "2", "list"]]
    versions = json.loads(does("artifacts", "list", "scaled", "--output", "json").out)
    assert [version["version"] for version in versions] == [2, 1]
    assert versions[0]["step"] == "scaled"


def test_children_of_mapped_steps_are_left_out_of_the_list(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "    total(scaled(numbers(count), factor))", "    total(one.map(numbers(count)))")
    edit(project / "flow.py", "@pipeline", "@step\ndef one(number: int) -> int:\n    return number\n\n\n@pipeline")
    does("run", "flow.py")
    names = [line.split()[0] for line in does("artifacts", "list").lines[1:]]
    assert "adding.one.output" in names
    assert "adding.one.0.output" not in names
    assert "adding.one.0.output" in does("artifacts", "list", "--children").out


def test_an_artifact_is_named_by_name_version_digest_or_its_beginning(does: Cli, cli: Cli, two: None) -> None:
    newest = Client().get_artifact("scaled")
    for which in ("scaled", "scaled:2", newest.digest, newest.digest[:10]):
        assert newest.digest in does("artifacts", "show", which).out
    assert "There is no artifact 'scalde'. Did you mean 'scaled'?" in cli("artifacts", "show", "scalde").err
    assert cli("artifacts", "show", "scaled:7").code == 2
    assert "'two' is no version of an artifact; write scaled:3." in cli("artifacts", "show", "scaled:two").err


def test_an_artifacts_page_tells_what_made_and_what_took_it(does: Cli, two: None) -> None:
    first, second = reversed(Client().list_runs())
    page = does("artifacts", "show", "numbers").out
    assert f"made by:      numbers of {first.name}" in page
    assert f"taken by:     scaled of {first.name}, scaled of {second.name}" in page
    assert "type:         builtins:list" in page


def test_an_artifact_of_a_deleted_run_can_still_be_shown(does: Cli, two: None) -> None:
    first, second = reversed(Client().list_runs())
    digest = first.steps["numbers"].outputs["numbers"].digest
    does("runs", "delete", first.id, "--yes")
    assert f"taken by:     scaled of {second.name}" in does("artifacts", "show", digest).out


def test_values_are_printed_as_their_kind_asks_for(does: Cli) -> None:
    save_artifact({"a": [1, 2]}, "json")
    save_artifact("two\nlines", "text")
    save_artifact({1, 2}, "set")
    assert json.loads(does("artifacts", "load", "json").out) == {"a": [1, 2]}
    assert does("artifacts", "load", "text").out == "two\nlines\n"
    assert does("artifacts", "load", "set").out == "{1, 2}\n"


def test_a_frame_is_printed_as_a_table(does: Cli) -> None:
    pandas = pytest.importorskip("pandas")
    save_artifact(pandas.DataFrame({"price": [1.5, 2.5]}), "frame")
    assert does("artifacts", "load", "frame").lines[0].strip() == "price"


def test_a_payload_can_be_copied_to_a_folder(does: Cli, cli: Cli, project: Path) -> None:
    save_artifact({"a": 1}, "json")
    does("artifacts", "load", "json", "--to", "copy")
    (file,) = (path for path in (project / "copy").rglob("*") if path.is_file())
    file.write_text("mine")
    assert does("artifacts", "load", "json").out == '{\n  "a": 1\n}\n', "the copy is the user's, the store's is not"
    assert "copy exists already" in cli("artifacts", "load", "json", "--to", "copy").err


def test_damaged_payload_is_refused_with_the_cure(cli: Cli, project: Path) -> None:
    saved = save_artifact({"a": 1}, "json")
    file = next((project / ".dovetail" / "store" / "artifacts" / saved.digest / "data").iterdir())
    file.chmod(0o644)
    file.write_text('{"a": 2}')
    said = cli("artifacts", "load", "json")
    assert (said.code, said.out) == (1, "")
    assert "is not what was written" in said.err
    assert "dovetail store verify --repair" in said.err


def test_a_diff_tells_facts_and_places_inside_values(does: Cli) -> None:
    save_artifact({"rate": 0.1, "layers": [8, 8], "gone": 1}, "settings")
    save_artifact({"rate": 0.2, "layers": [8, 16, 4]}, "settings")
    lines = does("artifacts", "diff", "settings:1", "settings:2").lines
    assert lines[0] == "settings:1 → settings:2"
    for told in ("  rate: 0.1 → 0.2", "  layers[1]: 8 → 16", "  layers[2]: nothing → 4", "  gone: 1 → nothing"):
        assert told in lines
    assert does("artifacts", "diff", "settings", "settings").lines == ["settings:2 → settings:2", "  the same content"]
    data = json.loads(does("artifacts", "diff", "settings:1", "settings:2", "--output", "json").out)
    assert data["value"]["rate"] == [0.1, 0.2]


def test_a_hostile_name_cannot_act_on_the_terminal(does: Cli, project: Path) -> None:
    saved = save_artifact([1], "fine")
    record = next((project / ".dovetail" / "store" / "names" / "artifacts" / "fine").iterdir())
    record.write_text(json.dumps({"name": "\x1b[31mred\x07", "digest": saved.digest, "at": 1.0}))
    assert "\x1b" not in does("artifacts", "list").out


MODEL = "@pipeline(model=Model('sums', description='adds'))\ndef adding"


@pytest.fixture
def versions(does: Cli, project: Path) -> None:
    edit(project / "flow.py", "@pipeline\ndef adding", MODEL)
    edit(project / "flow.py", "import log_metrics", "import Model, log_metrics")
    does("run", "flow.py")
    does("run", "flow.py", "--param", "factor=3")


def test_models_are_listed_with_their_stages(does: Cli, versions: None) -> None:
    said = does("models", "promote", "sums", "1", "production", "--reason", "why not")
    assert said.err == "Version 1 of model 'sums' is in stage production.\n"
    assert does("models", "list").lines[1].split()[:5] == ["sums", "2", "2", "-", "1"]
    does("models", "promote", "sums", "2", "production")
    rows = json.loads(does("models", "show", "sums", "--output", "json").out)
    assert [(row["version"], row["stage"], row["metrics"]) for row in rows] == [
        (2, "production", {"total": 18.0}),
        (1, "archived", {"total": 6.0}),
    ]
    assert "TOTAL" in does("models", "show", "sums").lines[0]


def test_a_version_is_named_by_number_or_stage(does: Cli, cli: Cli, versions: None) -> None:
    does("models", "promote", "sums", "1", "staging")
    page = json.loads(does("models", "show", "sums", "staging", "--output", "json").out)
    assert (page["version"], page["description"], page["artifacts"]["scaled"]) == (1, "adds", "scaled:1")
    assert does("models", "promote", "sums", "staging", "production").err == "Version 1 of model 'sums' is in stage production.\n"
    assert "Promote one: dovetail models promote sums 2 staging." in cli("models", "show", "sums", "staging").err
    assert "There is no model 'sum'. Did you mean 'sums'?" in cli("models", "show", "sum").err
    assert cli("models", "promote", "sums", "9", "staging").code == 2
    assert cli("models", "promote", "sums", "1", "prod").code == 2
    assert "There is no stage 'prodution'. Did you mean 'production'?" in cli("models", "show", "sums", "prodution").err


def test_a_promotion_shows_its_gates_and_is_told_of_later(does: Cli, cli: Cli, versions: None) -> None:
    does("models", "promote", "sums", "2", "production")
    refused = cli("models", "promote", "sums", "1", "production", "--require", "total > production.total")
    assert refused.code == 1
    assert "Version 1 of model 'sums' cannot be promoted to production: total > production.total: total is 6, and 18 of version 2" in refused.err
    assert "--force needs --reason" in cli("models", "promote", "sums", "1", "production", "--force").err
    said = does("models", "promote", "sums", "1", "production", "--require", "total < production.total", "--reason", "smaller is better")
    assert "total < production.total: 6 against 18, kept" in said.err
    page = does("models", "show", "sums", "1").out
    assert "refused production" in page
    assert "reason: smaller is better" in " ".join(page.split())


def test_approvals_are_given_on_the_command_line(does: Cli, cli: Cli, versions: None) -> None:
    assert "it has 0 of the 1 approvals that it needs" in cli("models", "promote", "sums", "1", "production", "--approvals", "1").err
    assert does("models", "approve", "sums", "1", "--by", "ada@example.org").err == "ada@example.org approves version 1 of model 'sums' for production.\n"
    does("models", "promote", "sums", "1", "production", "--approvals", "1")
    does("models", "approve", "sums", "2", "--by", "ada@example.org", "--reject", "--comment", "leaks")
    assert "ada@example.org said no" in cli("models", "promote", "sums", "2", "production").err
    assert json.loads(does("models", "show", "sums", "2", "--output", "json").out)["approvals"][0]["comment"] == "leaks"
    assert cli("models", "approve", "sums", "1", "--by", " ").code == 2


def test_two_versions_are_compared_side_by_side(does: Cli, versions: None) -> None:
    lines = does("models", "compare", "sums", "1", "2").lines
    assert lines[0].split() == ["VERSION", "1", "VERSION", "2", "CHANGE"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows["total"] == ["6", "18", "+12"]
    assert rows["factor"] == ["1", "3", "+2"]
    assert "scaled" in rows and "numbers" not in rows
    assert json.loads(does("models", "compare", "sums", "1", "2", "--output", "json").out)["metrics"] == {"total": [6.0, 18.0]}


def test_the_lineage_of_a_version_tells_what_made_it_and_what_came_of_it(does: Cli, project: Path, versions: None) -> None:
    does("models", "promote", "sums", "1", "production")
    (project / "using.py").write_text(USING)
    does("run", "using.py")
    said = does("models", "lineage", "sums", "production").out
    assert said.startswith("Version 1 of model 'sums', made by run adding-")
    for part in ("scaled v1", "stages:", " production", "used by:", "using-"):
        assert part in said
    assert json.loads(does("models", "lineage", "sums", "1", "--output", "json").out)["version"] == 1


USING = """
from dovetail import Model, pipeline, step


@step
def largest(numbers: list) -> int:
    return max(numbers)


@pipeline
def using():
    largest(Model("sums", version="production").load_artifact("scaled"))
"""


def test_an_empty_list_says_how_to_fill_it(does: Cli) -> None:
    assert "Model(name=…)" in does("models", "list").err
    assert "dovetail run FILE" in does("pipelines", "list").err
    assert "There are no artifacts yet." in does("artifacts", "list").err


def test_pipelines_are_listed_with_their_last_run(does: Cli, cli: Cli, two: None) -> None:
    cli("run", "failing.py")
    rows = json.loads(does("pipelines", "list", "--output", "json").out)
    assert [(row["name"], row["runs"], row["status"]) for row in rows] == [("adding", 2, "completed"), ("dividing", 1, "failed")]
    assert does("pipelines", "list").lines[1].split()[:2] == ["adding", "2"]


def test_queries_read_the_stack_that_is_named(does: Cli, project: Path) -> None:
    (project / "far.yaml").write_text(
        "components:\n  orchestrator: {type: local, name: o}\n  artifact_store: {type: local, name: a, configuration: {path: far-store}}\n"
    )
    does("stack", "apply", "far.yaml")
    does("run", "flow.py", "--stack", "far")
    assert does("artifacts", "list").out == ""
    for query in (("artifacts", "list"), ("pipelines", "list"), ("runs", "list"), ("artifacts", "show", "numbers"), ("runs", "show", "latest")):
        assert does(*query, "--stack", "far").out
