"""`dovetail plugin`."""

from __future__ import annotations

from pathlib import Path

import click

from dovetail.cli.output import output_option, print_rows
from dovetail.cli.session import Session, pass_session

_yes = click.option("--yes", "-y", is_flag=True, help="Do it without asking.")


@click.group()
def plugin() -> None:
    """List, install, check and write plugins.

    DOVETAIL_PLUGINS=a,b narrows Dovetail to these and the built-in one; --no-plugins leaves the built-in one alone.
    """


@plugin.command("list")
@output_option
@pass_session
def list_(session: Session, output: str) -> None:
    """List plugins: installed, broken with the reason, and available ones that `dovetail plugin install` brings."""
    from dovetail.cli.plugin_listing import rows_of, table_row

    rows = rows_of(session.registry)
    reason = ["reason"] if any(row["reason"] for row in rows) else []
    shown = [table_row(row) for row in rows] if output == "table" else rows
    print_rows(shown, ["name", "version", "status", "brings", *reason], output)


@plugin.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@pass_session
def check(session: Session, names: tuple[str, ...]) -> None:
    """Say whether what is installed fits together: all plugins, or those that are named.

    Each plugin's requirements, on Dovetail and on libraries, are there in versions that it allows; all that it declares can be
    imported; no flavor is offered twice. Prints what is wrong with its cure, and ends with exit code 1 then.
    """
    from dovetail.cli.plugin_checking import named_plugins, problems_of

    asked = named_plugins(session.registry, names)
    problems = dict.fromkeys(problem for info in asked for problem in problems_of(session.registry, info))
    for problem in problems:
        click.echo(f"- {problem}")
    if problems:
        click.get_current_context().exit(1)
    session.say(f"{len(asked)} plugin{'s' if len(asked) > 1 else ''} can be used: {', '.join(info.name for info in asked)}.")


@plugin.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_yes
@pass_session
def install(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Install plugins into this Python's environment, by uv where it is found, else by pip.

    NAME is a plugin that `dovetail plugin list` shows as available, a distribution that begins with `dovetail-`, a folder or a
    wheel. Shows what would change, and asks before it changes anything.
    """
    from dovetail.cli.plugin_installing import install_plugins

    install_plugins(session, names, yes=yes)


@plugin.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_yes
@pass_session
def uninstall(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Uninstall plugins; the libraries that they brought stay."""
    from dovetail.cli.plugin_installing import uninstall_plugins

    uninstall_plugins(session, names, yes=yes)


@plugin.command()
@click.argument("name")
@click.option(
    "--type", "kind", required=True, metavar="TYPE", help="A component type, such as experiment_tracker, or materializer."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write it; by default dovetail-NAME, here.")
@pass_session
def new(session: Session, name: str, kind: str, folder: Path | None) -> None:
    """Write a plugin that works: a package that installs, with tests that inherit its contract."""
    from dovetail.cli.plugin_writing import write_plugin

    written = write_plugin(name, kind, folder)
    session.say(f"Wrote {written}. Next:\n  pip install -e '{written}[test]'\n  pytest {written}\n  dovetail plugin list")
