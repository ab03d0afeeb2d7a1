"""`dovetail export runs|steps|metrics|artifacts`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dovetail.client.views import Run

Row = dict[str, Any]


@click.group()
def export() -> None:
    """Write what a store's runs recorded as CSV or JSON lines."""


def _command(name: str, help_text: str) -> None:
    """Add one command; they differ in their rows alone."""

    @export.command(name, help=help_text)
    @click.option("--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True, help="What to write.")
    @click.option("--to", type=click.Path(dir_okay=False), help="The file to write, by default standard output.")
    @click.option("--pipeline", "-p", metavar="NAME", help="Runs of this pipeline only.")
    @click.option("--status", metavar="STATUS", help="Runs that ended so, such as completed or failed.")
    @click.option("--tag", metavar="TAG", help="Runs with this tag.")
    @click.option("--since", metavar="DATE", help="Runs from this day or moment on, such as 2026-01-31.")
    @click.option("--limit", type=click.IntRange(min=0), help="At most so many runs, the newest.")
    @click.option("--stack", "-s", metavar="NAME", help="The stack whose store is asked, by default the active one.")
    def command(format_: str, to: str | None, stack: str | None, **chosen: Any) -> None:
        from dovetail import Client
        from dovetail_export import rows, writing

        client = Client(stack)
        runs = client.list_runs(**chosen)
        rows_of: Callable[[Run], Iterable[Row]] = getattr(rows, name)
        unreadable = dict(client.unreadable)
        count = writing.write(_each(runs, rows_of, unreadable), getattr(rows, f"{name.upper()}_COLUMNS"), format_, to)
        for run_id, reason in unreadable.items():
            click.echo(f"Run {run_id} cannot be read and is left out. {reason}", err=True)
        if to is not None:
            click.echo(f"Wrote {count} row{'s' if count != 1 else ''} of {len(runs)} run{'s' if len(runs) != 1 else ''} to {to}.", err=True)
        if unreadable:
            click.get_current_context().exit(1)


def _each(runs: Iterable[Run], rows_of: Callable[[Run], Iterable[Row]], unreadable: dict[str, str]) -> Iterator[Row]:
    from dovetail.errors import StoreError

    for run in runs:
        try:
            yield from list(rows_of(run))
        except StoreError as error:
            unreadable[run.id] = str(error)


_command("runs", "One row for each run, with its parameters.")
_command("steps", "One row for each step of each run, with what it logged: parameters, and the last value of each metric.")
_command("metrics", "One row for each value of each metric, with its step number and time.")
_command("artifacts", "One row for each output of each step, with its version, digest and size.")
