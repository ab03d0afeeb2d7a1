"""`dovetail plugin check` and `list`: what does not fit together, and the cure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail.cli.application import run

HEAD = "from dovetail.plugin import ComponentType, FlavorSpec, MaterializerSpec, hookimpl\n"
LOCAL = "dovetail.local.experiment_tracker:LocalTracker"
LayOut = Callable[..., Path]


def flavors(*specs: str) -> str:
    return f"{HEAD}@hookimpl\ndef dovetail_experiment_trackers(): return [{', '.join(specs)}]\n"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        return (code, *capsys.readouterr())

    return call


def test_what_fits_together_is_said_to(cli, lay_out: LayOut) -> None:
    source = flavors(f"FlavorSpec('fit', '{LOCAL}', requires=['pluggy>=1'])")
    lay_out("dovetail-fit", {"fits.py": source}, requires=("dovetail>=0.1", "pluggy"), point="fits")
    assert cli("plugin", "check", "fit") == (0, "", "1 plugin can be used: fit.\n")
    assert cli("plugin", "check", "dovetail_FIT")[0] == 0


CASES = {
    "a library that is missing": (
        flavors(f"FlavorSpec('odd', '{LOCAL}', requires=['no-such-sdk>=2'])"),
        (),
        ["flavor 'odd' needs no-such-sdk>=2, which is not installed. Run `pip install 'no-such-sdk>=2'`."],
    ),
    "a library of another version": (
        flavors(f"FlavorSpec('odd', '{LOCAL}', requires=['pluggy>=99', 'click!=0.1'])"),
        (),
        ["flavor 'odd' needs pluggy>=99, and 1.", "is installed. Run `pip install 'pluggy>=99'`."],
    ),
    "a requirement of the distribution that is missing": (
        flavors(f"FlavorSpec('odd', '{LOCAL}')"),
        ("no-such-sdk>=2", "other-sdk; extra == 'x'", "third-sdk; python_version < '3'"),
        ["Plugin 'odd' (dovetail-odd 1.0) needs no-such-sdk>=2, which is not installed. Run `pip install 'no-such-sdk>=2'`."],
    ),
    "an implementation that is not there": (
        flavors("FlavorSpec('odd', 'nowhere.to.be:Found')"),
        (),
        ["'odd' (dovetail-odd) cannot be imported from nowhere.to.be:Found: ModuleNotFoundError"],
    ),
    "a materializer that is not there": (
        HEAD + "@hookimpl\ndef dovetail_materializers(): return [MaterializerSpec(['a.B'], 'nowhere:Found')]\n",
        (),
        ["The materializer of a.B of plugin 'odd' cannot be imported from nowhere:Found", "Repair or reinstall"],
    ),
    "a command that is not there": (
        HEAD + "@hookimpl\ndef dovetail_cli_commands(): return {'ring': 'nowhere:ring'}\n",
        (),
        ["The command 'ring' of plugin 'odd' cannot be imported from nowhere:ring"],
    ),
    "a module that raises": (
        "raise RuntimeError('bad day')\n",
        (),
        ["Plugin 'odd' is broken: RuntimeError: bad day. Update or repair dovetail-odd, or run `dovetail plugin uninstall odd`."],
    ),
    "a module that raises what is no Exception": (
        "class Panic(BaseException): pass\nraise Panic('in Rust')\n",
        (),
        ["Plugin 'odd' is broken: Panic: in Rust. Update or repair dovetail-odd"],
    ),
    "fields that cannot be read": (
        "from dovetail.components import ExperimentTracker\n"
        + flavors("FlavorSpec('odd', 'fields_that_cannot_be_read:Odd')")
        + "class Odd(ExperimentTracker):\n    place: 'NoSuchType' = None\n",
        (),
        ["The fields of fields_that_cannot_be_read.Odd cannot be read: name 'NoSuchType' is not defined."],
    ),
    "a field in the place of a method": (
        "from dovetail.components import ExperimentTracker\n"
        + flavors("FlavorSpec('odd', 'a_field_in_the_place_of_a_method:Odd')")
        + "class Odd(ExperimentTracker):\n    url: str\n",
        (),
        ["The field 'url' of Odd has the name of a method of ExperimentTracker. Call it otherwise, such as 'url_'. Update or repair"],
    ),
    "a command of a name that is taken": (
        HEAD + "import click\nown = click.Command('run')\n"
        "@hookimpl\ndef dovetail_cli_commands(): return {'run': 'a_command_of_a_name_that_is_taken:own'}\n",
        (),
        ["The command 'run' of plugin 'odd' is never run, as Dovetail has a command of that name. Let the plugin rename it."],
    ),
    "a newer core": (
        "raise RuntimeError('this is not even imported')\n",
        ("dovetail>=99.1,<100",),
        ["dovetail-odd 1.0 was built for dovetail>=99.1,<100, and this is dovetail 0.", "Run `pip install --upgrade dovetail dovetail-odd`"],
    ),
    "a hook of a newer core": (
        HEAD + "@hookimpl\ndef dovetail_time_machines(): return []\n",
        (),
        ["implements the hook 'dovetail_time_machines', which does not exist.", "`pip install --upgrade dovetail`"],
    ),
    "an argument of a newer core": (
        HEAD + "@hookimpl\ndef dovetail_run_started(event, weather): return None\n",
        (),
        ["Plugin 'odd' is broken: PluginValidationError", "weather", "`pip install --upgrade dovetail`"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_told_with_its_cure_and_exit_code_1(case: str, cli, lay_out: LayOut) -> None:
    source, requires, said = CASES[case]
    module = re.sub(r"\W", "_", case)
    lay_out("dovetail-odd", {f"{module}.py": source}, requires=requires, point=module)
    code, out, _ = cli("plugin", "check")
    assert code == 1
    assert len(out.splitlines()) == 1, out
    for part in said:
        assert part in out
    assert cli("plugin", "check", "local")[0] == 0


def test_a_flavor_that_two_plugins_offer_is_told_once_with_both_named(cli, lay_out: LayOut) -> None:
    for name in ("one", "two"):
        lay_out(f"dovetail-{name}", {f"{name}_plugin.py": flavors(f"FlavorSpec('bell', '{LOCAL}')")}, point=f"{name}_plugin")
    code, out, _ = cli("plugin", "check")
    assert code == 1
    (line,) = out.splitlines()
    assert "flavor 'bell' is offered by 'one' (dovetail-one) and 'two' (dovetail-two). Uninstall one" in line


@pytest.mark.parametrize("target", ["nowhere:ring", "ringing_number:ring", "ringing_leaver:leave"])
def test_a_command_that_cannot_be_used_is_told_with_whom_to_ask(target: str, cli, lay_out: LayOut) -> None:
    source = HEAD + f"ring = 3\ndef leave(name): raise SystemExit(5)\n@hookimpl\ndef dovetail_cli_commands(): return {{'ring': {target!r}}}\n"
    module = target.partition(":")[0].replace("nowhere", "ringing_nowhere")
    lay_out("dovetail-ringing", {f"{module}.py": source}, point=module)
    code, _, err = cli("ring")
    assert code == 2
    assert err.startswith(f"Error: The command 'ring' cannot be imported from {target}: ")
    assert err.endswith("Repair, update or uninstall the plugin that brings it; `dovetail plugin check` names it.\n")
    assert cli("plugin", "list")[0] == 0


def test_an_unknown_plugin_is_answered_with_near_names(cli, lay_out: LayOut) -> None:
    lay_out("dovetail-fit", {"fit.py": flavors(f"FlavorSpec('fit', '{LOCAL}')")}, point="fit")
    code, _, err = cli("plugin", "check", "fitt")
    assert (code, err) == (2, "Error: There is no installed plugin 'fitt'. Did you mean 'fit'?\n")


def test_the_list_says_which_are_installed_broken_left_out_and_available(cli, lay_out: LayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.cli import plugin_listing
    from dovetail.registry.official import OfficialPlugin

    known = {name: OfficialPlugin(name, f"dovetail-{name}", f"dovetail-{name}>=1,<2", "One line.") for name in ("fit", "more")}
    monkeypatch.setattr(plugin_listing, "official_plugins", lambda: known)
    lay_out("dovetail-fit", {"fit.py": flavors(f"FlavorSpec('fit', '{LOCAL}')")}, version="1.5", point="fit")
    lay_out("dovetail-bad", {"bad.py": "import no_such_library"}, point="bad")
    lay_out("dovetail-shy", {"shy.py": "raise SystemExit"}, point="shy")
    monkeypatch.setenv("DOVETAIL_PLUGINS", "fit,bad")
    rows = {row["name"]: row for row in json.loads(cli("plugin", "list", "--output", "json")[1])}
    found = {name: (row["version"], row["status"]) for name, row in rows.items() if name != "local"}
    assert found == {"fit": ("1.5", "installed"), "bad": ("1.0", "broken"), "shy": ("1.0", "left out"), "more": (">=1,<2", "available")}
    assert rows["bad"]["reason"] == "ModuleNotFoundError: No module named 'no_such_library'"
    assert "One line." in cli("integration", "list")[1]


def test_no_plugins_leaves_the_built_in_one(cli, lay_out: LayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out("dovetail-fit", {"fit.py": flavors(f"FlavorSpec('fit', '{LOCAL}')")}, point="fit")
    for arguments in (("--no-plugins", "plugin", "list"), ("plugin", "list", "--no-plugins")):
        rows = json.loads(cli(*arguments, "--output", "json")[1])
        assert [row["name"] for row in rows if row["status"] == "installed"] == ["local"]
    assert "fit" in cli("experiment-tracker", "flavors")[1]
    code, _, err = cli("--no-plugins", "experiment-tracker", "register", "t", "--flavor", "fit")
    assert code == 2
    assert "There is no experiment tracker flavor 'fit'." in err
