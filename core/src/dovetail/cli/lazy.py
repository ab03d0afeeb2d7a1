"""A click group that knows its commands by name and imports one when it is used."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from dovetail.cli.session import Session

NARROWED_BY = "DOVETAIL_PLUGINS"  # as the registry reads it, which `--help` need not import


@dataclass(frozen=True)
class Command:
    """`target`: import string of a click command, or of a function that makes the command of a given name."""

    name: str
    target: str
    help: str
    hidden: bool = False


@dataclass(frozen=True)
class Section:
    title: str
    commands: tuple[Command, ...]


class LazyGroup(click.Group):
    """Shows its commands in sections. A name that no section holds is looked for among the plugins' commands."""

    def __init__(self, *args: Any, sections: Sequence[Section] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections = tuple(sections)
        self._table = {command.name: command for section in sections for command in section.commands}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, command in self._table.items() if not command.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._table:
            return _with_global_options(_loaded(self._table[cmd_name].target, cmd_name))
        target = _from_plugins(ctx, cmd_name)
        return None if target is None else _with_global_options(_loaded_of_plugin(target, cmd_name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return name, command, args[1:]
        near = difflib.get_close_matches(name, self.list_commands(ctx), n=3)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "Run `dovetail --help` for a list."
        raise click.UsageError(f"There is no command '{name}'. {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self._table)
        for section in self.sections:
            with formatter.section(section.title):
                rows = [(command.name.ljust(width), command.help) for command in section.commands if not command.hidden]
                formatter.write_dl(rows)


def _loaded(target: str, name: str) -> click.Command:
    from dovetail.values.imports import load_object

    found = load_object(target)
    command = found if isinstance(found, click.Command) else found(name)
    if not isinstance(command, click.Command):
        raise click.ClickException(f"{target} of the command '{name}' is no click command.")
    return command


def _loaded_of_plugin(target: str, name: str) -> click.Command:
    from dovetail.errors import PluginBroken

    try:
        return _loaded(target, name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginBroken(
            f"The command '{name}' cannot be imported from {target}: {type(error).__name__}: {str(error).rstrip('.')}. "
            f"Repair, update or uninstall the plugin that brings it; `dovetail plugin check` names it."
        ) from error


def _from_plugins(ctx: click.Context, name: str) -> str | None:
    session: Session = ctx.find_object(Session) or Session()
    own = session.registry.cli_commands().get(name)
    if own is not None:
        return own
    types = {kind.option for kind in session.registry.component_types()}
    return "dovetail.cli.components:group" if name in types else None


def _with_global_options(command: click.Command) -> click.Command:
    """Let --debug and --quiet stand behind the command's name too, where it has no such options itself."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            command.commands[name] = _with_global_options(inner)
        return command
    taken = {option for parameter in command.params for option in parameter.opts}
    for option in ("debug", "quiet"):
        if f"--{option}" not in taken:
            command.params.append(
                click.Option(
                    [f"--{option}"], is_flag=True, hidden=True, expose_value=False, is_eager=True, callback=_set_on_session
                )
            )
    if "--no-plugins" not in taken:
        command.params.append(
            click.Option(
                ["--no-plugins"], is_flag=True, hidden=True, expose_value=False, is_eager=True, callback=leave_plugins_out
            )
        )
    return command


def leave_plugins_out(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Said by the environment, so that the processes which the command starts leave them out too."""
    if not wanted:
        return
    before = os.environ.get(NARROWED_BY)
    os.environ[NARROWED_BY] = ""

    @context.find_root().call_on_close
    def put_back() -> None:
        if before is None:
            os.environ.pop(NARROWED_BY, None)
        else:
            os.environ[NARROWED_BY] = before


def _set_on_session(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    session = context.find_object(Session)
    if wanted and session is not None and parameter.name:
        setattr(session, parameter.name, True)
