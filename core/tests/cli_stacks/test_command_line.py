"""`dovetail` itself: commands, help, errors and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dovetail.cli import application
from dovetail.cli.lazy import Command, Section
from dovetail.cli.session import Session
from dovetail.errors import ConfigurationError, RunFailed
from dovetail.hookspecs import COMPONENT_TYPES

Cli = Callable[..., Any]


def in_a_process(
    *arguments: str, code: str = "from dovetail.cli import main; main()", **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_help_shows_every_section_and_command(does: Cli) -> None:
    shown = does("--help")
    for section in application.SECTIONS:
        assert f"{section.title}:" in shown
        for command in section.commands:
            assert command.hidden or f"  {command.name} " in shown
    assert does("-h") == shown


def test_help_imports_click_and_nothing_else() -> None:
    code = """
import sys
from dovetail.cli import application
application.run(["--help"])
heavy = ("pluggy", "pydantic", "rich", "yaml", "fsspec", "blake3", "importlib.metadata", "dovetail.registry", "dovetail.stack")
print([name for name in heavy if name in sys.modules])
"""
    assert in_a_process(code=code).stdout.splitlines()[-1] == "[]"


def test_the_table_of_commands_names_every_component_type() -> None:
    (components,) = (section for section in application.SECTIONS if section.title == "Components")
    assert [command.name for command in components.commands] == [kind.option for kind in COMPONENT_TYPES]


def test_the_commands_of_this_table_are_there(cli: Cli) -> None:
    named = {command.name: command for section in application.SECTIONS for command in section.commands}
    for name, command in named.items():
        if command.target.partition(":")[0] in OWN:
            assert cli(name, "--help").out.startswith(f"Usage: dovetail {name}")


OWN = {f"dovetail.cli.{module}" for module in ("stacks", "components", "secrets", "plugins", "project")}


def test_an_unknown_command_is_answered_with_near_names_and_exit_code_2(cli: Cli) -> None:
    said = cli("stak")
    assert (said.code, said.out) == (2, "")
    assert "There is no command 'stak'. Did you mean 'stack'?" in said.err
    assert cli("stack", "lst").code == 2
    assert cli("zzz").err.endswith("Run `dovetail --help` for a list.\n")


def test_wrong_usage_has_exit_code_2(cli: Cli) -> None:
    assert cli("stack", "set").code == 2
    assert cli("--nope").code == 2
    assert cli("stack", "list", "--output", "xml").code == 2


def test_a_plugins_command_is_a_command(does: Cli) -> None:
    assert does("acme-hello") == "hello from acme\n"


def test_a_component_type_of_a_plugin_has_its_commands(does: Cli) -> None:
    assert "hubble" in does("telescope", "flavors")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `dovetail fails` raise."""

    def install(error: BaseException) -> None:
        @click.command()
        def fails() -> None:
            raise error

        monkeypatch.setattr(application.application, "_table", {"fails": Command("fails", f"{__name__}:_command", "")})
        monkeypatch.setattr(sys.modules[__name__], "_command", fails, raising=False)

    return install


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigurationError("The stack is odd. Mend it."), 2, "Error: The stack is odd. Mend it.\n"),
        (RunFailed("Run 'x' failed."), 1, "Error: Run 'x' failed.\n"),
        (
            ZeroDivisionError("by zero"),
            1,
            "Error: ZeroDivisionError: by zero. Run the command again with --debug to see where it was raised.\n",
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            1,
            "Error: Permission denied: /x. Check that you may read and write there, and that there is room.\n",
        ),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (click.Abort(), 130, "Interrupted.\n"),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(cli: Cli, failing: Any, error: BaseException, code: int, said: str) -> None:
    failing(error)
    got = cli("fails")
    assert (got.code, got.out, got.err) == (code, "", said)


@pytest.mark.parametrize("arguments", [("--debug", "fails"), ("fails", "--debug")])
def test_debug_shows_the_traceback_before_or_behind_the_command(cli: Cli, failing: Any, arguments: tuple[str, ...]) -> None:
    failing(ConfigurationError("odd"))
    got = cli(*arguments)
    assert got.code == 2
    assert got.err.startswith("Traceback (most recent call last):")
    assert got.err.endswith("Error: odd\n")


def test_quiet_leaves_results_and_errors(cli: Cli) -> None:
    assert cli("stack", "copy", "default", "a", "--quiet").err == ""
    assert cli("--quiet", "stack", "copy", "default", "b").err == ""
    assert cli("stack", "copy", "default", "c").err == "Stack 'c' created.\n"
    assert cli("stack", "copy", "default", "c", "-q").code == 2
    assert "already" in cli("--quiet", "stack", "copy", "default", "c").err


def test_a_plugins_broken_command_is_a_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"odd": Command("odd", "dovetail.errors:near", ""), "lost": Command("lost", "dovetail.nowhere:command", "")}
    monkeypatch.setattr(application.application, "_table", table)
    assert "Error" in cli("odd").err
    assert cli("lost").code == 1


def test_a_closed_pipe_is_no_traceback(folder: Path) -> None:
    script = f"{sys.executable} -c 'from dovetail.cli import main; main()' --help | head -c 5"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Usage", "")


def test_ctrl_c_ends_with_130(folder: Path) -> None:
    code = """
import os, signal, threading, time
from dovetail.cli import main
from dovetail.cli.session import Session
Session.stacks = property(lambda self: (os.kill(os.getpid(), signal.SIGINT), time.sleep(5)))
main()
"""
    done = in_a_process("stack", "list", code=code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nInterrupted.\n")


def test_version_is_said_by_command_and_option(does: Cli) -> None:
    assert does("version") == does("--version")
    assert does("version").startswith("dovetail 0.")


def test_a_section_is_data() -> None:
    section = Section("T", (Command("a", "m:c", "h"),))
    assert section.commands[0].hidden is False
    assert Session().quiet is False


def test_the_console_script_runs(folder: Path) -> None:
    script = Path(sys.executable).with_name("dovetail")
    done = subprocess.run([script, "stack", "list"], capture_output=True, text=True, check=False, env={**os.environ})
    assert (done.returncode, signal.SIGINT in signal.valid_signals()) == (0, True)
    assert "default" in done.stdout
