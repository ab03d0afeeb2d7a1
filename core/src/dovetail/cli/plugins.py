"""`dovetail plugin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dovetail.cli.output import output_option, print_rows
from dovetail.cli.session import Session, pass_session
from dovetail.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from dovetail.registry import PluginInfo


@click.group()
def plugin() -> None:
    """List and check plugins.

    DOVETAIL_PLUGINS=a,b narrows Dovetail to these and the built-in one.
    """


@plugin.command("list")
@output_option
@pass_session
def list_(session: Session, output: str) -> None:
    """List installed plugins and what they bring; a broken one with its reason."""
    plugins = session.registry.plugins()
    rows = [
        {
            "name": info.name,
            "distribution": info.distribution,
            "version": info.version,
            "status": info.status,
            "flavors": {kind: list(names) for kind, names in info.flavors.items()},
            "reason": info.reason,
        }
        for info in plugins
    ]
    reason = ["reason"] if any(info.reason for info in plugins) else []
    columns = ["name", "version", "status", "flavors", *reason]
    shown = [{**row, "flavors": _flavors(info)} for row, info in zip(rows, plugins, strict=True)] if output == "table" else rows
    print_rows(shown, columns, output)


@plugin.command()
@click.argument("name", required=False)
@pass_session
def check(session: Session, name: str | None) -> None:
    """Import everything that the plugins, or one of them, declare, and say what cannot be used."""
    plugins = session.registry.plugins()
    if name is not None and name not in {info.name for info in plugins}:
        raise NotFound("plugin", name, [info.name for info in plugins])
    asked = [info for info in plugins if name in (None, info.name)]
    problems = [problem for info in asked for problem in _problems(session, info)]
    for problem in problems:
        click.echo(f"- {problem}")
    if problems:
        click.get_current_context().exit(1)
    session.say(f"{len(asked)} plugin{'s' if len(asked) > 1 else ''} can be used: {', '.join(info.name for info in asked)}.")


def _flavors(info: PluginInfo) -> str:
    return "; ".join(f"{kind.replace('_', ' ')}: {', '.join(names)}" for kind, names in info.flavors.items())


def _problems(session: Session, info: PluginInfo) -> list[str]:
    problems = [f"Plugin '{info.name}' is broken: {info.reason}."] if info.reason else []
    for kind, names in info.flavors.items():
        for name in names:
            try:
                session.registry.component_class(kind, name)
            except ConfigurationError as error:
                problems.append(str(error))
    return problems
