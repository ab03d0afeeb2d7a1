"""`dovetail run`, `plan`, `runs …` and `replay`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dovetail.cli.output import output_option, print_one, print_rows
from dovetail.cli.queries import client_of, find_run, stack_option, tell_unreadable
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.client.client import Client

F = TypeVar("F", bound=Callable[..., Any])
_ENDED = {"completed", "cached", "failed", "skipped", "interrupted", "cancelled"}
_COLUMNS = ("id", "pipeline", "status", "started", "took", "steps")
_STATUSES = sorted(_ENDED | {"initializing", "running"})


def _target_options(command: F) -> F:
    """What `run` and `plan` take alike."""
    for decorate in (
        click.argument("target", metavar="FILE|MODULE[:PIPELINE]"),
        click.option(
            "--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipeline; again for each."
        ),
        click.option("--config", metavar="FILE", help="A run configuration: YAML that says of this run what code would say."),
        click.option("--stack", "-s", metavar="NAME", help="The stack to run on, by default the active one."),
        click.option("--no-cache", is_flag=True, help="Run every step, whatever the cache holds."),
    ):
        command = decorate(command)
    return command


@click.command()
@_target_options
@click.option("--name", help="The run's name; may hold {date} and {time}.")
@click.option("--tag", "tags", multiple=True, help="A tag of the run; again for each.")
@click.option("--detach", is_flag=True, help="Do not wait: a process of its own carries the run out.")
@pass_session
def run(
    session: Session,
    target: str,
    params: tuple[str, ...],
    config: str | None,
    stack: str | None,
    no_cache: bool,
    name: str | None,
    tags: tuple[str, ...],
    detach: bool,
) -> int:
    """Run a pipeline.

    FILE is imported as a module, so what stands under `if __name__ == "__main__":` does not run. Without PIPELINE, the call that
    stands at module level is what runs, with its arguments; else the only pipeline that there is.
    """
    from dovetail.cli.running import run_target

    options = {"stack": stack, "run_config": config, "run_name": name, "tags": tags, "detach": detach or None}
    return run_target(session, target, params, {**options, "enable_cache": False if no_cache else None})


@click.command()
@_target_options
@output_option
@pass_session
def plan(
    session: Session, target: str, params: tuple[str, ...], config: str | None, stack: str | None, no_cache: bool, output: str
) -> int:
    """Show what would run, what is cached, and why. Nothing runs.

    The exit code is 1 where the run could not start.
    """
    from dovetail.cli.running import plan_target

    options = {"stack": stack, "run_config": config, "enable_cache": False if no_cache else None}
    return plan_target(session, target, params, options, output)


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("step")
@click.option("--pdb", is_flag=True, help="Debug it: where it fails, or, if it had completed, from its first line.")
@stack_option
@pass_session
def replay(session: Session, run: str, step: str, pdb: bool, stack: str | None) -> int:
    """Run one step of a past run here, with its own inputs and the code that the run kept. Nothing is recorded."""
    from dovetail.cli.running import replay as replay_step

    return replay_step(session, run, step, stack, debug=pdb)


@click.group()
def runs() -> None:
    """List, show, resume, cancel, compare and delete runs.

    RUN is an id, the beginning of one, a name, or `latest`.
    """


@runs.command("list")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--status", type=click.Choice(_STATUSES), metavar="STATUS", help=f"Only runs in this status: {', '.join(_STATUSES)}."
)
@click.option("--tag", help="Only runs with this tag.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]),
    metavar="DAY",
    help="Only runs since then: a day, or DAYThh:mm:ss.",
)
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="At most so many, the newest."
)
@click.option("--all", "everywhere", is_flag=True, help="The stores of all stacks.")
@stack_option
@output_option
@pass_session
def list_(
    session: Session,
    pipeline: str | None,
    status: str | None,
    tag: str | None,
    since: datetime | None,
    limit: int,
    everywhere: bool,
    stack: str | None,
    output: str,
) -> None:
    """List runs, newest first."""
    from dovetail.cli.run_pages import optional_columns, row, short_row

    clients = _all_clients(session) if everywhere else [client_of(session, stack)]
    since = since.astimezone() if since is not None else None
    found = [run for client in clients for run in client.list_runs(pipeline, status, None, tag, since, limit)]
    found = sorted(found, key=lambda run: run.id, reverse=True)[:limit]
    rows = [short_row(run) if output == "table" else row(run) for run in found]
    more = optional_columns(rows) if output == "table" else []
    columns = [*_COLUMNS, *more]
    print_rows(rows, columns, output, _no_runs(clients))
    for client in clients:
        tell_unreadable(session, client)


def _no_runs(clients: list[Client]) -> str:
    return (
        "No such runs."
        if any(next(client.index.run_ids(), None) for client in clients)
        else "There are no runs yet; `dovetail run FILE` makes one."
    )


def _all_clients(session: Session) -> list[Client]:
    """One for each store."""
    from dovetail.errors import DovetailError

    found: dict[str | None, Client] = {}
    for name in session.stacks.list():
        try:
            client = client_of(session, name)
            found.setdefault(client.ledger.store_id, client)
        except (DovetailError, OSError) as error:
            session.say(f"Stack '{name}' is left out: {error}")
    return list(found.values())


@runs.command()
@click.argument("run", metavar="RUN")
@click.option("--graph", is_flag=True, help="Draw its lineage: steps, what they gave, and how each ended.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the lineage as a picture.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the lineage as a page.")
@stack_option
@output_option
@pass_session
def show(session: Session, run: str, graph: bool, svg: Path | None, html: Path | None, stack: str | None, output: str) -> None:
    """Show a run: its parameters, models, steps, outputs and errors."""
    from dovetail.cli import run_pages

    found = find_run(client_of(session, stack), run)
    if graph or svg or html:
        _draw(session, found, svg, html, output)
    elif output != "table":
        print_one(run_pages.page(found), output)
    else:
        for line in (*run_pages.lines(found), *_tracked(found)):
            click.echo(line)


def _draw(session: Session, run: Any, svg: Path | None, html: Path | None, output: str) -> None:
    from dovetail.cli.run_pages import graph
    from dovetail.client import lineage_svg
    from dovetail.client.lineage import as_json, lineage_of

    lineage = lineage_of(run)
    for path, write in ((svg, lineage_svg.svg), (html, lineage_svg.html)):
        if path is not None:
            path.write_text(write(lineage), encoding="utf-8")
            session.say(f"Written to {path}.")
    if svg or html:
        return
    if output != "table":
        print_one(as_json(lineage), output)
        return
    for line in graph(lineage):
        click.echo(line)


def _tracked(run: Any) -> list[str]:
    """Where the stack's tracker shows the run, if the tracker is there and says so; nothing that it raises matters here."""
    workspace = run.query.workspace
    if workspace.stack.name != run.stack or "experiment_tracker" not in workspace.stack.components:
        return []
    from dovetail.client.tracked import tracker_urls

    return [f"  tracked:     {url}" for url in tracker_urls(workspace, run)]


@runs.command()
@click.argument("run", metavar="RUN")
@click.argument("step", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@stack_option
@pass_session
def logs(session: Session, run: str, step: str | None, follow: bool, stack: str | None) -> None:
    """Print what steps printed and logged, of all steps or of one."""
    from dovetail.cli.run_logs import print_logs

    print_logs(session, find_run(client_of(session, stack), run), step, follow=follow)


@runs.command()
@click.argument("run", metavar="RUN")
@stack_option
@pass_session
def resume(session: Session, run: str, stack: str | None) -> int:
    """Do the rest of a run that failed, was cancelled or interrupted, in a new run that takes over what is done."""
    from dovetail.cli.running import resume as resume_run

    return resume_run(session, run, stack)


@runs.command()
@click.argument("run", metavar="RUN")
@click.option("--reason", default="asked on the command line", help="Kept with the run.")
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
@stack_option
@pass_session
def cancel(session: Session, run: str, reason: str, wait: bool, stack: str | None) -> None:
    """Ask a run to stop. Who drives it notices within seconds."""
    client = client_of(session, stack)
    found = client.cancel(find_run(client, run), reason)
    session.say(f"Run {found.name} was asked to stop.")
    if wait:
        session.say(f"Run {found.name}: {client.wait(found).status.value}.")


@runs.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@stack_option
@output_option
@pass_session
def compare(session: Session, first: str, second: str, stack: str | None, output: str) -> None:
    """Tell what differs between two runs: parameters, code, packages, metrics, outputs."""
    import dataclasses

    from dovetail.cli.run_pages import comparison
    from dovetail.client.comparing import compare_runs

    client = client_of(session, stack)
    one, two = find_run(client, first), find_run(client, second)
    compared = compare_runs(one, two)
    if output != "table":
        print_one({"runs": [one.id, two.id], **dataclasses.asdict(compared)}, output)
        return
    for line in comparison(one, two, compared):
        click.echo(line)


@runs.command()
@click.argument("run", metavar="RUN", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@stack_option
@pass_session
def delete(session: Session, run: tuple[str, ...], yes: bool, stack: str | None) -> None:
    """Delete runs' records. Artifacts that nothing else reaches go with the next `dovetail store gc`."""
    import sys

    client = client_of(session, stack)
    found = [find_run(client, which) for which in run]
    names = ", ".join(each.name for each in found)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"This deletes {names}. Add --yes to do it without being asked.")
        click.confirm(f"Delete {names}?", abort=True, err=True)
    for each in found:
        name = each.name
        client.delete(each)
        session.say(f"Run {name} deleted.")
