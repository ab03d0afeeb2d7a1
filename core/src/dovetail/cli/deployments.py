"""`dovetail deployments`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_one, print_rows
from dovetail.cli.queries import SHORT, client_of, stack_option
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.client.deployments import RunningDeployment

_PATIENCE = 6.0  # seconds for all deployments to say how they are, which are asked at the same time
_POLL = 0.5  # seconds between two looks at a log that is followed
_FOLLOWED = 1000  # lines that a log may grow by between two looks


@click.group()
def deployments() -> None:
    """List, show, stop and delete what is served, and read its logs."""


@deployments.command("list")
@stack_option
@output_option
@pass_session
def list_(session: Session, stack: str | None, output: str) -> None:
    """List deployments, and how each of them is now."""
    found = client_of(session, stack).list_deployments()
    rows = [{**_row(each, output), **state} for each, state in zip(found, _states(found), strict=True)]
    columns = ["name", "model", "status", "url", "since", "deployer", "stack"]
    print_rows(rows, columns, output, "Nothing is deployed; `stack.model_deployer.deploy_model(config={…})` does it.")
    if output == "table":
        for row in rows:
            if row["why"]:
                session.say(f"\n{row['why']}")


@deployments.command()
@click.argument("name")
@stack_option
@output_option
@pass_session
def show(session: Session, name: str, stack: str | None, output: str) -> None:
    """Show one deployment: what it serves, since when, and why it does not if it does not."""
    found = client_of(session, stack).get_deployment(name)
    (state,) = _states([found])
    page = {**_row(found, "show"), **state}
    page |= {
        "number": found.number,
        "run": found.run,
        "artifact": found.digest,
        "replicas": found.record.get("replicas", 1),
        "settings": dict(found.record.get("settings") or {}),
        "folder": found.record["handle"].get("folder"),
    }
    why = page.pop("why")
    print_one({**page, "why": why} if output != "table" else page, output)
    if why and output == "table":
        click.echo(f"\n{why}")


@deployments.command()
@click.argument("name")
@click.option("--lines", "-n", type=click.IntRange(1), default=100, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is logged from now on, as long as it serves.")
@stack_option
@pass_session
def logs(session: Session, name: str, lines: int, follow: bool, stack: str | None) -> None:
    """Print the last lines of a deployment's log."""
    found = client_of(session, stack).get_deployment(name)
    shown = list(found.logs(max(lines, _FOLLOWED) if follow else lines))
    for line in shown[-lines:]:
        click.echo(line)
    while follow:
        over = found.status.value not in ("running", "starting")
        now = list(found.logs(_FOLLOWED))
        for line in _fresh(shown, now):
            click.echo(line)
        if over:
            break
        shown = now
        time.sleep(_POLL)


@deployments.command()
@click.argument("name")
@stack_option
@pass_session
def stop(session: Session, name: str, stack: str | None) -> None:
    """End what serves a deployment. It stays in the list."""
    client_of(session, stack).get_deployment(name).stop()
    session.say(f"Deployment '{name}' is stopped. Deploy its model again to start it.")


@deployments.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Take it out of the list even if it cannot be stopped from here.")
@stack_option
@pass_session
def delete(session: Session, name: str, force: bool, stack: str | None) -> None:
    """Stop a deployment and take it out of the list. The records of what was deployed stay."""
    client_of(session, stack).get_deployment(name).delete(force=force)
    session.say(f"Deployment '{name}' is deleted.")


def _row(found: RunningDeployment, output: str) -> dict[str, Any]:
    from dovetail.values.amounts import moment_in_words

    model = found.model
    return {
        "name": found.name,
        "model": f"{model[0]} {model[1]}" if model else found.digest[:SHORT] if output == "table" else None,
        "url": found.url,
        "since": moment_in_words(found.since) if output == "table" else found.since.isoformat(),
        "deployer": str((found.record.get("component") or {}).get("flavor") or found.record.get("deployer")),
        "stack": found.stack,
    }


def _states(found: Sequence[RunningDeployment]) -> list[dict[str, str | None]]:
    """The status of each, with why it does not serve; `unknown` for those that do not answer in time."""
    asked = [_Asked(each) for each in found]
    for each in asked:
        each.start()
    until = time.monotonic() + _PATIENCE
    for each in asked:
        each.join(max(until - time.monotonic(), 0.0))
    return [each.state or {"status": "unknown", "why": f"Deployment '{each.deployment.name}' did not answer within {_PATIENCE:g} s."} for each in asked]


class _Asked(threading.Thread):
    def __init__(self, deployment: RunningDeployment) -> None:
        super().__init__(daemon=True)
        self.deployment = deployment
        self.state: dict[str, str | None] | None = None

    def run(self) -> None:
        from dovetail.errors import DovetailError

        try:
            status = self.deployment.status.value
            why = self.deployment.explain() if status in ("failed", "unknown") else None
            self.state = {"status": status, "why": why}
        except DovetailError as error:
            self.state = {"status": "unknown", "why": str(error)}
        except Exception as error:  # of a vendor's client, whatever it raises
            self.state = {"status": "unknown", "why": f"Deployment '{self.deployment.name}' cannot be asked: {type(error).__name__}: {error}"}


def _fresh(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """The lines of `now` that follow what was seen before."""
    for missing in range(len(before) + 1):
        seen = len(before) - missing
        if list(now[:seen]) == list(before[missing:]):
            return now[seen:]
    return now
