"""`dovetail secret`."""

from __future__ import annotations

import sys

import click

from dovetail.cli.output import output_option, print_rows
from dovetail.cli.session import Session, pass_session


@click.group()
def secret() -> None:
    """Keep secret values outside stack files.

    They lie in the active stack's secret store, else in files that only you may read. `{{ NAME.KEY }}` in a stack file or an option
    refers to one value.
    """


@secret.command("set")
@click.argument("name")
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE...")
@pass_session
def set_(session: Session, name: str, values: tuple[str, ...]) -> None:
    """Set keys of a secret; keys that are not given stay as they are.

    KEY=- reads the value from standard input, which keeps it out of the shell's history.
    """
    pairs = [value.partition("=") for value in values]
    for key, separator, _ in pairs:
        if not (key and separator):
            raise click.UsageError("Give KEY=VALUE, or KEY=- to read the value from standard input.")
    if sum(value == "-" for _, _, value in pairs) > 1:
        raise click.UsageError("Only one value can be read from standard input; set the others one by one.")
    session.secret_store().put(name, {key: _given(name, key, value) for key, _, value in pairs})
    session.say(f"Secret '{name}' set: {', '.join(key for key, _, _ in pairs)}.")


@secret.command("list")
@output_option
@pass_session
def list_(session: Session, output: str) -> None:
    """List secrets and their keys, never their values."""
    store = session.secret_store()
    print_rows([{"name": name, "keys": sorted(store.get(name))} for name in store.names()], ["name", "keys"], output)


@secret.command()
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a secret with all its keys."""
    session.secret_store().delete(name)
    session.say(f"Secret '{name}' deleted.")


def _given(name: str, key: str, value: str) -> str:
    if value != "-":
        return value
    source = sys.stdin
    if source.isatty():
        return str(click.prompt(f"{name}.{key}", hide_input=True, err=True))
    return source.read().rstrip("\n")
