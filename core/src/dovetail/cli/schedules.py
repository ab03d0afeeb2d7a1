"""`dovetail schedules`."""

from __future__ import annotations

import click

from dovetail.cli.output import output_option, print_rows
from dovetail.cli.queries import client_of, stack_option
from dovetail.cli.session import Session, pass_session


@click.group()
def schedules() -> None:
    """List and end what engines start by their own clocks. `pipeline.schedule(Schedule(cron=…))` makes one."""


@schedules.command("list")
@stack_option
@output_option
@pass_session
def list_(session: Session, stack: str | None, output: str) -> None:
    """List the schedules of the active stack's artifact store."""
    from dovetail.execution.scheduling import schedules as known
    from dovetail.values.amounts import moment_in_words

    rows = [
        {
            "pipeline": record["name"],
            "cron": record["cron"],
            "timezone": record["timezone"],
            "stack": record["plan"]["stack"]["name"],
            "made": record["at"] if output != "table" else moment_in_words(record["at"]),
            "engine": record.get("address"),
        }
        for record in known(client_of(session, stack).ledger)
    ]
    print_rows(rows, ["pipeline", "cron", "timezone", "stack", "made", "engine"], output, "No schedules. `pipeline.schedule(Schedule(cron=…))` makes one on a stack whose orchestrator has a clock.")


@schedules.command()
@click.argument("pipeline")
@stack_option
@pass_session
def delete(session: Session, pipeline: str, stack: str | None) -> None:
    """End a pipeline's schedule; runs that it started go on."""
    from dovetail.execution.scheduling import end_schedule

    end_schedule(pipeline, client_of(session, stack).workspace)
    session.say(f"The schedule of pipeline '{pipeline}' has ended.")
