"""`dovetail scheduler`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from dovetail.cli.queries import client_of, stack_option
from dovetail.cli.session import Session, pass_session

if TYPE_CHECKING:
    from dovetail.execution.scheduler import Scheduler

_BEGINS_WITHIN = 60.0  # seconds
_POLL = 0.1


@click.command()
@click.option("--once", is_flag=True, help="Start what is due now, and end.")
@stack_option
@pass_session
def scheduler(session: Session, once: bool, stack: str | None) -> int:
    """Start the runs of schedules that no engine's clock starts.

    It looks after all schedules in the artifact store of one stack, until Ctrl-C or SIGTERM; runs go on in processes of their own. Any
    number of schedulers may look after one store, on one machine or several: each run is made once. With --once, the exit code is 1
    where a run that was due could not begin.
    """
    from dovetail.execution.scheduler import Scheduler, keep_looking
    from dovetail.execution.ticks import check_ticks

    check_ticks()
    client = client_of(session, stack)
    told: list[str] = []

    def say(name: str, text: str) -> None:
        told.append(text)
        _line(f"{name}: {text}")

    made = Scheduler(client.workspace, say)
    if once:
        return _once(made, told)
    with _signals() as wait:
        _line(f"looks after the schedules of artifact store '{client.ledger.store.name}' (stack '{client.workspace.stack.name}'), process {os.getpid()}")
        keep_looking(made, wait, _line)
        _line("ends; runs that it started go on")
    return 0


def _once(made: Scheduler, told: list[str]) -> int:
    made.look()
    until = time.monotonic() + _BEGINS_WITHIN
    while not made.is_settled and time.monotonic() < until:
        time.sleep(_POLL)
        made.look()
    return int(not made.is_settled or made.is_hindered or any("makes no run" in text for text in told))


def _line(text: str) -> None:
    click.echo(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}")


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[float], bool]]:
    """A way to wait that a child's end cuts short, and that says whether somebody asked to end."""
    asked: list[int] = []
    reader, writer = socket.socketpair()
    for each in (reader, writer):
        each.setblocking(False)
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGCHLD"):
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def wait(seconds: float) -> bool:
        if not asked and select.select([reader], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                reader.recv(4096)
        return bool(asked)

    try:
        yield wait
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
