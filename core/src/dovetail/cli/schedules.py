"""`dovetail schedules`."""

from __future__ import annotations

import click

from dovetail.cli.output import output_option, print_one, print_rows
from dovetail.cli.queries import client_of, stack_option
from dovetail.cli.session import Session, pass_session

_EMPTY = "No schedules. `pipeline.schedule(Schedule(cron=…))` makes one."
_COLUMNS = ["pipeline", "cron", "timezone", "stack", "kept_by", "paused", "next", "last", "result"]
_TICKS = ["tick", "result", "run", "why"]


@click.group()
def schedules() -> None:
    """List, show, pause, resume and end schedules. `pipeline.schedule(Schedule(cron=…))` makes one.

    The clock of an orchestrator that has one starts their runs, else `dovetail scheduler`.
    """


@schedules.command("list")
@stack_option
@output_option
@pass_session
def list_(session: Session, stack: str | None, output: str) -> None:
    """List the schedules of the active stack's artifact store, with the next tick and the last."""
    from dovetail.cli.schedule_pages import row
    from dovetail.execution.scheduling import schedules as known

    _tell_missing(session)
    client = client_of(session, stack)
    print_rows([row(client, record) for record in known(client.ledger)], _COLUMNS, output, _EMPTY)


@schedules.command()
@click.argument("pipeline")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="So many ticks, the newest.")
@stack_option
@output_option
@pass_session
def show(session: Session, pipeline: str, limit: int, stack: str | None, output: str) -> None:
    """Show a schedule and its ticks: the run of each and what became of it, or why there is none."""
    from dovetail.cli.schedule_pages import page
    from dovetail.execution.scheduling import find_schedule

    _tell_missing(session)
    client = client_of(session, stack)
    found = page(client, find_schedule(pipeline, client.ledger), limit)
    if output != "table":
        print_one(found, output)
        return
    ticks = found.pop("ticks")
    print_one({name: value for name, value in found.items() if name not in ("last", "result", "run")}, output)
    click.echo()
    print_rows(ticks, _TICKS, output, "No tick has come yet.")


@schedules.command()
@click.argument("pipeline")
@stack_option
@pass_session
def pause(session: Session, pipeline: str, stack: str | None) -> None:
    """Make no more runs of a schedule until it is resumed; runs that it started go on.

    Where an engine's clock keeps it, that goes on too, and each job that it starts ends at once.
    """
    from dovetail.execution.scheduling import pause_schedule

    done = pause_schedule(pipeline, client_of(session, stack).workspace)
    session.say(f"The schedule of pipeline '{pipeline}' {'is paused' if done else 'was paused already'}.")


@schedules.command()
@click.argument("pipeline")
@stack_option
@pass_session
def resume(session: Session, pipeline: str, stack: str | None) -> None:
    """Let a paused schedule go on with its next tick; those meanwhile are not made up."""
    from dovetail.execution.scheduling import resume_schedule

    done = resume_schedule(pipeline, client_of(session, stack).workspace)
    session.say(f"The schedule of pipeline '{pipeline}' {'goes on' if done else 'was not paused'}.")


@schedules.command()
@click.argument("pipeline")
@stack_option
@pass_session
def delete(session: Session, pipeline: str, stack: str | None) -> None:
    """End a pipeline's schedule; runs that it started go on."""
    from dovetail.execution.scheduling import end_schedule

    end_schedule(pipeline, client_of(session, stack).workspace)
    session.say(f"The schedule of pipeline '{pipeline}' has ended.")


def _tell_missing(session: Session) -> None:
    """Say why the next ticks cannot be shown, where they cannot."""
    from dovetail.errors import ConfigurationError
    from dovetail.execution.ticks import check_ticks

    try:
        check_ticks()
    except ConfigurationError as error:
        session.say(str(error))
