"""`dovetail <component-type>`, `dovetail secret`, `dovetail plugin`, `init` and `doctor`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.local.secret_store import LocalSecretStore

Cli = Callable[..., Any]


def registered(folder: Path) -> Any:
    import yaml

    return yaml.safe_load((folder / ".dovetail" / "components" / "experiment_tracker" / "t.yaml").read_text())["configuration"]


REGISTER = ("experiment-tracker", "register", "t", "--flavor", "acme", "--project=p")


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--workers", "4"], {"workers": 4}),
        (["--workers=4"], {"workers": 4}),
        (["--ratio", ".5"], {"ratio": 0.5}),
        (["--verbose"], {"verbose": True}),
        (["--no-verbose"], {"verbose": False}),
        (["--verbose=yes"], {"verbose": True}),
        (["--verbose=false"], {"verbose": False}),
        (["--tags", "a", "--tags", "b"], {"tags": ["a", "b"]}),
        (["--tags", '["a", "b"]'], {"tags": ["a", "b"]}),
        (["--headers", "a=b", "--headers", "c=d=e"], {"headers": {"a": "b", "c": "d=e"}}),
        (["--headers", '{"a": "b"}'], {"headers": {"a": "b"}}),
        (["--folder", "runs"], {"folder": "runs"}),
        (["--level", "high"], {"level": "high"}),
        (["--api-key", "${KEY}"], {"api_key": "${KEY}"}),
        (["--workers", "${N}"], {"workers": "${N}"}),
    ],
)
def test_every_field_is_an_option(does: Cli, folder: Path, options: list[str], kept: dict[str, Any]) -> None:
    does(*REGISTER, *options)
    assert registered(folder) == {"project": "p", **kept}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--worker", "4"], "--workers"),
        (["--workers", "four"], "'workers' is wrong: input should be a valid integer"),
        (["--mode", "slow"], "'fast' or 'safe'"),
        (["--headers", "nothing"], "takes KEY=VALUE"),
        (["--headers", "{nothing}"], "is no JSON"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_is_kept(cli: Cli, folder: Path, options: list[str], said: str) -> None:
    got = cli(*REGISTER, *options)
    assert (got.code, said in got.err) == (2, True), got
    assert not (folder / ".dovetail" / "components").exists()


def test_a_required_field_that_is_missing_is_named(cli: Cli) -> None:
    assert "its field 'project' is required" in cli("experiment-tracker", "register", "t", "--flavor", "acme").err


def test_help_shows_the_fields_of_the_flavor(does: Cli) -> None:
    shown = does("experiment-tracker", "register", "--flavor", "acme", "--help")
    assert "--workers NUMBER" in shown
    assert "How many at once. [default: 2]" in shown
    assert "--verbose / --no-verbose" in shown
    general = does("experiment-tracker", "register", "--help")
    assert "Installed flavors: local, acme" in general
    assert "--workers" not in general
    assert "Installed flavors" in does("experiment-tracker", "register", "--flavor", "nope", "--help")


def test_an_unknown_flavor_is_answered_with_near_names(cli: Cli) -> None:
    assert "Did you mean 'acme'?" in cli("experiment-tracker", "register", "t", "--flavor", "acmee", "--project", "p").err
    assert "Missing option '--flavor'" in cli("experiment-tracker", "register", "t").err


def test_a_secret_option_goes_to_the_secret_store(cli: Cli, folder: Path) -> None:
    said = cli(*REGISTER, "--api-key", "plain-secret")
    assert said.code == 0
    assert "The secret api_key went to the secret store." in said.err
    assert registered(folder)["api_key"] == "{{ experiment-tracker-t.api_key }}"
    assert LocalSecretStore().get("experiment-tracker-t")["api_key"].reveal() == "plain-secret"


def test_a_secret_option_can_be_read_from_standard_input(does: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from-stdin\n"))
    does(*REGISTER, "--api-key=-")
    assert LocalSecretStore().get("experiment-tracker-t")["api_key"].reveal() == "from-stdin"


def test_an_update_changes_and_unsets_fields(does: Cli, cli: Cli, folder: Path) -> None:
    does(*REGISTER, "--workers", "4", "--ratio", "0.1")
    does("experiment-tracker", "update", "t", "--workers=5", "--unset", "ratio", "--api-key", "plain-secret")
    assert registered(folder) == {"project": "p", "workers": 5, "api_key": "{{ experiment-tracker-t.api_key }}"}
    assert "--workers NUMBER" in does("experiment-tracker", "update", "t", "--help")
    assert "Say what to change" in cli("experiment-tracker", "update", "t").err
    assert "Did you mean 't'" in cli("experiment-tracker", "update", "tt", "--unset", "ratio").err
    assert "is built in" in cli("orchestrator", "update", "default", *_one_field(does)).err


def _one_field(does: Cli) -> list[str]:
    """A valid option for the built-in orchestrator, whatever fields it has."""
    described = json.loads(does("orchestrator", "flavors", "local", "--output", "json"))
    name = next(name for name, facts in described["properties"].items() if "integer" in json.dumps(facts))
    return [f"--{name.replace('_', '-')}", "2"]


def test_components_are_listed_described_and_deleted(does: Cli, cli: Cli, folder: Path) -> None:
    does(*REGISTER, "--api-key", "plain-secret")
    does("stack", "register", "mine", "-o", "default", "-a", "default", "-e", "t")
    (row,) = json.loads(does("experiment-tracker", "list", "--output", "json"))
    assert (row["name"], row["flavor"], row["stacks"], row["kept_in"]) == ("t", "acme", ["mine"], "its own file")
    shown = does("experiment-tracker", "describe", "t")
    assert "api key: {{ experiment-tracker-t.api_key }}" in shown
    assert "remote" in shown
    assert "'t' is used by stack 'mine'" in cli("experiment-tracker", "delete", "t").err
    does("stack", "delete", "mine")
    does("experiment-tracker", "delete", "t")
    assert cli("experiment-tracker", "describe", "t").code == 2
    assert json.loads(does("artifact-store", "list", "--output", "json"))[0]["stacks"] == ["default"]


def test_components_of_stack_files_are_listed_too(does: Cli, folder: Path) -> None:
    (folder / "s.yaml").write_text("components: {experiment_tracker: {flavor: acme, name: inside, configuration: {project: p}}}")
    does("stack", "apply", "s.yaml")
    assert "the file of stack 's'" in does("experiment-tracker", "list")
    assert json.loads(does("experiment-tracker", "describe", "inside", "--output", "json"))["configuration"] == {"project": "p"}


def test_a_component_whose_library_is_missing_can_be_described(does: Cli) -> None:
    does("experiment-tracker", "register", "n", "--flavor", "needy", "--project", "p")
    assert "no-such-sdk[all]>=2" in does("experiment-tracker", "describe", "n")


def test_flavors_and_their_fields_are_listed(does: Cli) -> None:
    assert "Tracks in Acme." in does("experiment-tracker", "flavors")
    assert "secret" in does("experiment-tracker", "flavors", "acme")
    assert json.loads(does("experiment-tracker", "flavors", "acme", "--output", "json"))["required"] == ["project"]


# dovetail secret


def test_secrets_are_set_listed_and_deleted(does: Cli, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n"))
    does("secret", "set", "db", "user=me", "password=-", "dsn=a=b")
    assert {key: value.reveal() for key, value in LocalSecretStore().get("db").items()} == {
        "user": "me",
        "password": "from stdin",
        "dsn": "a=b",
    }
    assert json.loads(does("secret", "list", "--output", "json")) == [{"name": "db", "keys": ["dsn", "password", "user"]}]
    does("secret", "delete", "db")
    assert cli("secret", "delete", "db").code == 2


@pytest.mark.parametrize("values", [["novalue"], ["=x"], ["a=-", "b=-"], ["a.b=1"], []])
def test_what_is_no_secret_is_refused(cli: Cli, values: list[str]) -> None:
    assert cli("secret", "set", "db", *values).code == 2
    assert not LocalSecretStore().names()


def test_secrets_go_to_the_active_stacks_store(cli: Cli, does: Cli, folder: Path) -> None:
    (folder / "s.yaml").write_text(
        "components: {secret_store: {flavor: local, configuration: {path: kept}}, orchestrator: default}"
    )
    does("stack", "apply", "s.yaml", "--set")
    does("secret", "set", "db", "a=1")
    assert (folder / "kept" / "db.json").is_file()


# dovetail plugin


def test_plugins_are_listed_with_what_they_bring(does: Cli) -> None:
    listed = does("plugin", "list")
    assert "experiment tracker: acme, needy, lost, wrong" in listed
    infos = {row["name"]: row for row in json.loads(does("integration", "list", "--output", "json"))}
    assert (infos["acme"]["distribution"], infos["acme"]["version"], infos["acme"]["status"]) == (
        "dovetail-acme",
        "1.2",
        "installed",
    )


def test_checking_plugins_finds_what_cannot_be_used(cli: Cli) -> None:
    said = cli("plugin", "check", "acme")
    assert said.code == 1
    assert [line.partition("flavor '")[2].partition("'")[0] for line in said.out.splitlines()] == ["needy", "lost", "wrong"]
    assert "Did you mean 'acme'" in cli("plugin", "check", "acmee").err


def test_the_built_in_plugin_can_be_used(cli: Cli) -> None:
    assert cli("plugin", "check", "local").err == "1 plugin can be used: local.\n"


# dovetail init and doctor


def test_a_project_is_made_once(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new: odd"
    said = cli("init", str(new), "--name", "yes")
    assert said.code == 0
    import yaml

    assert yaml.safe_load((new / ".dovetail" / "project.yaml").read_text()) == {"name": "yes"}
    assert "/store/" in (new / ".dovetail" / ".gitignore").read_text()
    assert "is a project already" in cli("init", str(new)).err
    assert cli("init", str(tmp_path / "other"), "--name", "../x").code == 2
    assert not (tmp_path / "other" / ".dovetail").exists()


def test_the_home_folder_is_no_project(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "cannot be a project" in cli("init", str(tmp_path)).err


def test_the_doctor_finds_nothing_where_nothing_is_wrong(does: Cli) -> None:
    found = {row["check"]: row for row in json.loads(does("doctor", "--output", "json"))}
    assert {"Python", "click", "pydantic", "project", "active stack", "plugin local", "stack"} <= set(found)
    assert {row["state"] for row in found.values()} == {"ok"}


def test_the_doctor_names_what_is_wrong_and_exits_1(cli: Cli, does: Cli, folder: Path) -> None:
    (folder / "s.yaml").write_text("components: {orchestrator: default}")
    does("stack", "apply", "s.yaml", "--set")
    said = cli("doctor")
    assert said.code == 1
    assert "Stack 's' has no artifact store" in said.out
    (folder / ".dovetail" / "active").write_text("gone")
    said = cli("doctor")
    assert (said.code, "There is no stack 'gone'" in said.out) == (1, True)
