"""Printing what steps printed, as it stands or as it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from dovetail.cli.session import Session

if TYPE_CHECKING:
    from dovetail.client.views import Run

_POLL = 0.5  # seconds


def print_logs(session: Session, run: Run, step: str | None, *, follow: bool) -> None:
    """Raises NotFound for a step that the run has not."""
    if step is not None:
        _ = run.steps[step]  # which raises
    if follow:
        _follow(session, run, step)
        return
    printed = False
    for name in [step] if step is not None else list(run.steps):
        text, note = _log_of(run, name)
        if step is None and text:
            click.echo(click.style(f"--- {name}{f' ({note})' if note else ''}", bold=True))
        elif step is not None and note:
            session.say(f"Step '{name}' was {note}.")
        if text:
            click.echo(text, nl=not text.endswith("\n"))
            printed = True
        error = run.steps[name].error or {}
        if error.get("type") == "dovetail.errors:WorkerLost":  # its last words may be in no chunk
            session.say(f"Step '{name}': {error.get('message')}")
            printed = True
    if not printed:
        who = f"Step '{step}'" if step is not None else "Every step"
        session.say(f"{who} of run {run.name} printed nothing.")


def _log_of(run: Run, name: str) -> tuple[str, str]:
    """The text, and in which run it was printed if that is another."""
    found = run.steps[name]
    cached = (found.outcome or {}).get("cached")
    if cached is None:
        return found.log(), ""
    if run.query.ledger.run(cached["run"]).header() is None:
        return "", "cached; the run that printed its log was deleted"
    return found.log(), f"cached; printed in run {cached.get('run_name') or cached['run']}"


def _follow(session: Session, run: Run, step: str | None) -> None:
    """New chunks of all steps, until the run has ended and its last chunks were read."""
    from dovetail.client.views import Run as Fresh

    records = run.query.ledger.run(run.id)
    seen: dict[tuple[str, int], int] = {}
    last = ""
    ended = False
    while True:
        for name in [step] if step is not None else records.invocations():
            for attempt in records.attempts(name):
                for number, text in records.log(name, attempt, seen.get((name, attempt), -1)):
                    if step is None and name != last:
                        click.echo(click.style(f"--- {name}", bold=True))
                        last = name
                    click.echo(text, nl=False)
                    seen[name, attempt] = number
        if ended:
            break
        ended = run.query.finished(run.id) is not None
        if not ended:
            time.sleep(_POLL)
    session.say(f"Run {run.name}: {Fresh(run.query, run.id).status.value}.")
