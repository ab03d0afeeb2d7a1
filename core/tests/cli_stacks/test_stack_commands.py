"""`dovetail stack`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Cli = Callable[..., Any]
STACK = """
name: mine
components:
  orchestrator: {flavor: acme, name: o}
  artifact_store: {type: memory, name: m}
  experiment_tracker: {flavor: acme, name: t, configuration: {project: p, api_key: "{{ acme.key }}"}}
"""


@pytest.fixture
def applied(folder: Path, does: Cli) -> None:
    (folder / "mine.yaml").write_text(STACK)
    does("stack", "apply", "mine.yaml")


@pytest.fixture
def tracked(does: Cli) -> None:
    does("experiment-tracker", "register", "t", "--flavor", "acme", "--project", "p")


def rows(text: str) -> list[dict[str, Any]]:
    found = json.loads(text)
    assert isinstance(found, list)
    return found


def test_a_stack_is_registered_of_components_by_short_and_long_options(does: Cli, tracked: None) -> None:
    does(
        "stack",
        "register",
        "mine",
        "-o",
        "default",
        "--artifact-store",
        "default",
        "-e",
        "t",
        "--waive",
        "resources.gpu",
        "--set",
    )
    shown = json.loads(does("stack", "describe", "--output", "json"))
    assert (shown["name"], shown["active"], shown["waive"]) == ("mine", True, ["resources.gpu"])
    assert shown["components"]["experiment_tracker"] == {"flavor": "acme", "name": "t", "configuration": {"project": "p"}}


def test_a_stack_needs_an_orchestrator_and_an_artifact_store(cli: Cli) -> None:
    said = cli("stack", "register", "mine", "-a", "default")
    assert said.code == 2
    assert "Give --orchestrator NAME; `default` names the built-in one." in said.err


def test_a_component_that_is_not_there_is_answered_with_near_names(cli: Cli) -> None:
    said = cli("stack", "register", "mine", "-a", "defolt", "-o", "default")
    assert (said.code, "Did you mean 'default'?" in said.err) == (2, True)


def test_a_name_that_is_taken_is_refused(cli: Cli, applied: None) -> None:
    assert "There is a stack 'mine' already" in cli("stack", "register", "mine", "-a", "default", "-o", "default").err


def test_a_component_of_a_stack_file_can_be_used_by_another_stack(does: Cli, applied: None) -> None:
    does("stack", "register", "other", "-o", "default", "-a", "m", "-e", "t")
    does("stack", "delete", "mine")
    shown = json.loads(does("stack", "describe", "other", "--output", "json"))
    assert shown["components"]["experiment_tracker"]["configuration"]["api_key"] == "{{ acme.key }}"


def test_two_different_components_of_one_name_are_not_guessed_between(cli: Cli, does: Cli, applied: None, folder: Path) -> None:
    (folder / "other.yaml").write_text(STACK.replace("name: mine", "name: other").replace("project: p", "project: q"))
    does("stack", "apply", "other.yaml")
    said = cli("stack", "register", "third", "-o", "o", "-a", "m", "-e", "t")
    assert (said.code, "stands in the file of stack 'mine'" in said.err) == (2, True)


def test_applying_is_idempotent_and_says_what_it_did(cli: Cli, folder: Path) -> None:
    (folder / "mine.yaml").write_text(STACK)
    assert cli("stack", "apply", "mine.yaml").err == "Stack 'mine' created.\n"
    assert cli("stack", "apply", "mine.yaml", "--set").err == "Stack 'mine' unchanged.\nThe active stack is 'mine'.\n"
    (folder / "mine.yaml").write_text(STACK.replace("project: p", "project: q"))
    assert cli("stack", "apply", "mine.yaml").err == "Stack 'mine' updated.\n"


def test_a_bad_file_is_one_message_and_exit_code_2(cli: Cli, folder: Path) -> None:
    (folder / "bad.yaml").write_text(STACK.replace('api_key: "{{ acme.key }}"', "api_key: plain-secret, worker: 1"))
    said = cli("stack", "apply", "bad.yaml")
    assert (said.code, said.out) == (2, "")
    assert "2 problems" in said.err
    assert "plain-secret" not in said.err
    assert cli("stack", "apply", "none.yaml").code == 2


def test_the_active_stack_is_marked_and_the_environment_comes_first(
    cli: Cli, does: Cli, applied: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {row["name"]: row["active"] for row in rows(does("stack", "list", "--output", "json"))} == {
        "default": True,
        "mine": False,
    }
    does("stack", "set", "mine")
    assert {row["name"]: row["active"] for row in rows(does("stack", "list", "--output", "json"))} == {
        "default": False,
        "mine": True,
    }
    monkeypatch.setenv("DOVETAIL_STACK", "default")
    assert "*       default" in does("stack", "list")
    assert "DOVETAIL_STACK is set to 'default' and comes before it" in cli("stack", "set", "mine").err
    assert cli("stack", "set", "nowhere").code == 2


def test_in_ci_the_warning_is_one_line(cli: Cli, does: Cli, applied: None, monkeypatch: pytest.MonkeyPatch) -> None:
    does("stack", "set", "mine")
    monkeypatch.setenv("CI", "true")
    said = cli("stack", "describe")
    assert said.err.startswith("Warning: CI is set, and stack 'mine'")
    assert len(said.err.splitlines()) == 1


def test_a_stack_that_cannot_be_read_is_listed_with_its_problem(does: Cli, folder: Path) -> None:
    (folder / ".dovetail" / "stacks").mkdir()
    (folder / ".dovetail" / "stacks" / "bad.yaml").write_text("component: {}")
    listed = does("stack", "list")
    assert "default" in listed
    assert "unknown key 'component'" in listed


def test_lists_and_descriptions_come_as_table_json_and_yaml(does: Cli, applied: None) -> None:
    assert does("stack", "list").startswith("ACTIVE  NAME     ORCHESTRATOR  ARTIFACT STORE  EXPERIMENT TRACKER")
    as_json = json.loads(does("stack", "describe", "mine", "--output", "json"))
    assert yaml.safe_load(does("stack", "describe", "mine", "--output", "yaml")) == as_json
    assert "api key: {{ acme.key }}" in does("stack", "describe", "mine")


def test_an_update_gives_a_stack_other_components(does: Cli, cli: Cli, applied: None) -> None:
    does("stack", "update", "mine", "-a", "default", "--remove", "experiment-tracker", "--waive", "timeout")
    shown = json.loads(does("stack", "describe", "mine", "--output", "json"))
    assert set(shown["components"]) == {"orchestrator", "artifact_store"}
    assert (shown["components"]["artifact_store"]["name"], shown["waive"]) == ("default", ["timeout"])
    assert cli("stack", "update", "mine", "--remove", "orchestrator").code == 2
    assert "Did you mean 'timeout'" in cli("stack", "update", "mine", "--waive", "timeouts").err


def test_a_stack_is_copied_exported_and_deleted(does: Cli, cli: Cli, applied: None, folder: Path) -> None:
    does("stack", "copy", "mine", "other")
    does("stack", "export", "other", "out/exported.yaml")
    assert (folder / "out" / "exported.yaml").read_text() == does("stack", "export", "other")
    does("stack", "delete", "other")
    assert cli("stack", "delete", "other").code == 2
    assert cli("stack", "delete", "default").code == 2
    does("stack", "apply", "out/exported.yaml")
    assert yaml.safe_load(does("stack", "export", "other")) == yaml.safe_load((folder / "out" / "exported.yaml").read_text())


def test_check_says_everything_that_is_wrong_and_exits_1(cli: Cli, does: Cli, applied: None) -> None:
    said = cli("stack", "check", "mine")
    assert said.code == 1
    assert said.out.startswith("- There is no secret 'acme'.")
    does("secret", "set", "acme", "key=k-12345")
    assert cli("stack", "check", "mine").err == "Stack 'mine' can be used.\n"


def test_no_command_ever_prints_a_secret(cli: Cli, does: Cli, applied: None) -> None:
    does("secret", "set", "acme", "key=very-secret-value")
    does("experiment-tracker", "register", "u", "--flavor", "acme", "--project", "refused", "--api-key", "very-secret-value")
    does("stack", "update", "mine", "-e", "u")
    commands = (
        ["stack", "list"],
        ["stack", "describe", "mine"],
        ["stack", "check", "mine"],
        ["stack", "export", "mine"],
        ["experiment-tracker", "list"],
        ["experiment-tracker", "describe", "u"],
        ["secret", "list"],
    )
    for command in commands:
        for output in ((), ("--output", "json"), ("--output", "yaml")):
            said = cli("--debug", *command, *output)
            assert "very-secret-value" not in said.out + said.err, command


def test_a_store_that_a_later_version_wrote_is_found_by_the_checks(cli: Cli, folder: Path) -> None:
    store = folder / ".dovetail" / "store"
    store.mkdir(parents=True)
    (store / "format.json").write_text('{"store": "x", "layout": 99, "hash": "blake3"}')
    for command in (("stack", "check"), ("doctor",)):
        said = cli(*command)
        assert said.code == 1
        assert "has layout 99" in said.out + said.err
        assert "pip install --upgrade dovetail" in said.out + said.err
