"""`dovetail cache`."""

from __future__ import annotations

import click

from dovetail.cli.output import output_option, print_one, shown
from dovetail.cli.queries import client_of, find_run, stack_option
from dovetail.cli.session import Session, pass_session


@click.group()
def cache() -> None:
    """Explain why a step ran."""


@cache.command()
@click.argument("run", metavar="RUN")
@click.argument("step")
@stack_option
@output_option
@pass_session
def explain(session: Session, run: str, step: str, stack: str | None, output: str) -> None:
    """Why a step of a run ran or was cached: what differs from the last run in which it ran.

    RUN is an id, the beginning of one, a name, or `latest`.
    """
    import dataclasses

    from dovetail.cli.run_pages import paint
    from dovetail.client.explaining import explain as explain_step

    client = client_of(session, stack)
    found = explain_step(client, find_run(client, run), step)
    if output != "table":
        print_one(dataclasses.asdict(found), output)
        return
    click.echo(f"Step '{shown(found.step)}' of run {shown(found.run)}: {paint(found.status, found.status)}")
    click.echo(shown(found.because))
    for line in found.differences:
        click.echo(f"  - {shown(line)}")
    if found.asked:
        click.echo("What that run had asked was answered the same:")
        for line in found.asked:
            click.echo(f"  - {shown(line)}")
