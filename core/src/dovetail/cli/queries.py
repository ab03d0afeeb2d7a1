"""What commands that read a ledger have in common: `--stack`, and naming a run or an artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dovetail.cli.session import Session

if TYPE_CHECKING:
    from dovetail.client.client import Client
    from dovetail.client.views import Artifact, Run

F = TypeVar("F", bound=Callable[..., Any])
_SHORTEST_DIGEST = 8
LATEST = "latest"
SHORT = 12  # characters of a run's id that a list shows: when it began, to the millisecond, and two at random


def stack_option(command: F) -> F:
    """`--stack NAME`, handed to the command as `stack`."""
    return click.option("--stack", "-s", metavar="NAME", help="The stack whose store is asked, by default the active one.")(
        command
    )


def client_of(session: Session, stack: str | None = None) -> Client:
    """The client for a stack's ledger. Raises NotFound."""
    from dovetail.client.client import Client
    from dovetail.planning.workspace import assemble

    return Client(workspace=assemble(session.project, session.registry, session.stack(stack)))


def find_run(client: Client, which: str) -> Run:
    """A run by id, beginning of an id, name, or `latest`. Raises NotFound."""
    from dovetail.errors import NotFound

    if which != LATEST:
        return client.get_run(which)
    for run in client.each_run():
        return run
    raise NotFound("run", which, (), f"Stack '{client.workspace.stack.name}' has none yet; `dovetail run FILE` makes one.")


def find_artifact(client: Client, which: str) -> Artifact:
    """An artifact by `NAME`, `NAME:VERSION`, digest, or beginning of a digest. Raises NotFound."""
    from dovetail.client.views import Artifact
    from dovetail.errors import ConfigurationError, NotFound

    name, _, version = which.partition(":")
    if version and not version.isdecimal():
        raise ConfigurationError(f"{version!r} is no version of an artifact; write {name}:3.")
    try:
        return client.get_artifact(name, int(version) if version else None)
    except NotFound:
        digest = _digest(client, which)
        if digest is None:
            raise
        return Artifact(client, digest)


def _digest(client: Client, beginning: str) -> str | None:
    from dovetail.errors import NotFound

    if len(beginning) < _SHORTEST_DIGEST or set(beginning) - set("0123456789abcdef"):
        return None
    found = [entry.name for entry in client.ledger.store.scan("artifacts") if entry.name.startswith(beginning)]
    if len(found) > 1:
        raise NotFound("single artifact whose digest begins with", beginning, found, f"{len(found)} do; give more characters.")
    return found[0] if found else None


def tell_unreadable(session: Session, client: Client) -> None:
    """Say which runs could not be shown."""
    for run_id, reason in client.unreadable.items():
        session.say(f"Run {run_id} cannot be read. {reason}")
