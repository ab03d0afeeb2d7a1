"""`dovetail store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.output import output_option, print_one, shown
from dovetail.cli.queries import client_of, stack_option
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.ledger.collecting import Garbage
    from dovetail.ledger.verifying import Verified

_MANY = ("artifact", "code package", "run", "cache entry", "leftover")


@click.group()
def store() -> None:
    """Verify and clean up an artifact store, and rebuild the index."""


@store.command()
@click.option("--repair", is_flag=True, help="Move what cannot be read aside, to damaged/ in the store. Nothing is deleted.")
@stack_option
@output_option
@pass_session
def verify(session: Session, repair: bool, stack: str | None, output: str) -> int:
    """Read every record and all payload, and check that what they name is there.

    The exit code is 1 where something is wrong.
    """
    import dataclasses

    from dovetail.ledger.verifying import verify as verify_store

    found = verify_store(client_of(session, stack).ledger, repair=repair)
    if output != "table":
        print_one(dataclasses.asdict(found), output)
    else:
        _tell_verified(session, found, repair=repair)
    return 0 if found.is_sound else 1


def _tell_verified(session: Session, found: Verified, *, repair: bool) -> None:
    from dovetail.values.amounts import bytes_in_words

    for finding in found.findings:
        click.echo(f"- {shown(finding.problem)}")
        if finding.moved_to is not None:
            click.echo(f"  moved to {shown(finding.moved_to)}")
    session.say(f"Read {found.records} records, and {found.artifacts} artifacts with {bytes_in_words(found.bytes)}.")
    harmless = [f"{found.void} void version{_s(found.void)}"] if found.void else []
    harmless += [f"{found.unfinished} artifact{_s(found.unfinished)} without a manifest"] if found.unfinished else []
    if harmless:
        session.say(f"Left by steps that did not end, or still run, and harmless: {' and '.join(harmless)}.")
    if not found.findings:
        session.say("Everything is what was written, and all that is named is there.")
    elif not repair and any(finding.kind != "missing" for finding in found.findings):
        session.say(
            "`dovetail store verify --repair` moves what cannot be read aside; the steps whose results these were then run again."
        )


@store.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted, with bytes.")
@stack_option
@output_option
@pass_session
def gc(session: Session, dry_run: bool, stack: str | None, output: str) -> None:
    """Delete what nothing reaches any more.

    Kept is what a run, version, model or deployment reaches. What else was used in the last 14 days stays too, and in the last 30
    days what the cache can give. Runs may go on meanwhile.
    """
    import dataclasses

    from dovetail.ledger.collecting import collect, find_garbage

    ledger = client_of(session, stack).ledger
    found = find_garbage(ledger) if dry_run else collect(ledger)
    if output != "table":
        listed = [dataclasses.asdict(garbage) for garbage in found]
        print_one({"deleted": not dry_run, "bytes": sum(garbage.bytes for garbage in found), "garbage": listed}, output)
        return
    if not found:
        session.say("There is nothing to delete.")
        return
    click.echo(f"{'Would delete' if dry_run else 'Deleted'} {_counted(found)}.")


def _counted(found: list[Garbage]) -> str:
    from dovetail.values.amounts import bytes_in_words

    parts = []
    for kind in _MANY:
        each: list[Any] = [garbage for garbage in found if garbage.kind == kind]
        if each:
            plural = {"cache entry": "cache entries"}.get(kind, f"{kind}s")
            parts.append(
                f"{len(each)} {kind if len(each) == 1 else plural} ({bytes_in_words(sum(garbage.bytes for garbage in each))})"
            )
    return f"{', '.join(parts)}; {bytes_in_words(sum(garbage.bytes for garbage in found))} in all"


@store.command()
@stack_option
@pass_session
def reindex(session: Session, stack: str | None) -> None:
    """Build the index of a store anew. It is a cache that lies on this machine; losing it loses nothing."""
    client = client_of(session, stack)
    client.index.forget()
    count = sum(1 for _ in client.each_run())
    for run_id, reason in client.unreadable.items():
        session.say(f"Run {run_id} cannot be read. {reason}")
    session.say(f"The index holds {count} run{_s(count)} of stack '{client.workspace.stack.name}'.")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
