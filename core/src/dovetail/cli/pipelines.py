"""`dovetail pipelines`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_rows
from dovetail.cli.queries import SHORT, client_of, stack_option, tell_unreadable
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.client.views import Run


@click.group()
def pipelines() -> None:
    """List pipelines."""


@pipelines.command("list")
@stack_option
@output_option
@pass_session
def list_(session: Session, stack: str | None, output: str) -> None:
    """List the pipelines that have run, with their last run."""
    client = client_of(session, stack)
    runs: dict[str, list[Run]] = {}
    for run in client.each_run():
        runs.setdefault(run.pipeline, []).append(run)
    rows = [_row(name, runs[name], output) for name in sorted(runs)]
    print_rows(
        rows, ["name", "runs", "last_run", "status", "started"], output, "No pipeline has run yet; `dovetail run FILE` runs one."
    )
    tell_unreadable(session, client)


def _row(name: str, runs: list[Run], output: str) -> dict[str, Any]:
    from dovetail.values.amounts import moment_in_words

    last = runs[0]
    facts = {"name": name, "runs": len(runs), "status": last.status.value}
    if output != "table":
        return {**facts, "last_run": last.id, "started": last.created.isoformat()}
    return {**facts, "last_run": last.id[:SHORT], "started": moment_in_words(last.created)}
