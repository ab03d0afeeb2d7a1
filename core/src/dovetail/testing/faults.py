"""What goes wrong off the happy path, made to happen: lost workers, slow and failing stores, refused credentials."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dovetail.client.client import Client
from dovetail.components.component import Component
from dovetail.errors import ConfigurationError
from dovetail.ledger.ledger import Ledger

_LOOK = 0.02  # seconds between looks for the worker


@contextmanager
def slow_store(store: Any, seconds: float) -> Iterator[None]:
    """Every request to the store takes `seconds` longer. `store`: that of `in_memory` or `on_disk`."""
    with _wrapped(store, ("create", "read", "overwrite", "scan", "stat", "delete"), lambda name: time.sleep(seconds)):
        yield


@contextmanager
def failing_store(store: Any, error: Exception, *, requests: str = "create", times: int | None = None) -> Iterator[None]:
    """Requests of one kind (create, read, scan, …) raise `error`: all, or the first `times`."""
    left = [times]

    def fail(_: str) -> None:
        if left[0] is None or left[0] > 0:
            left[0] = left[0] - 1 if left[0] is not None else None
            raise error

    with _wrapped(store, (requests,), fail):
        yield


@contextmanager
def refused_credentials(component: Component) -> Iterator[None]:
    """Whatever is asked of the component raises PermissionError, as from a service that refuses a key; its `check` finds that."""

    def refuse(_: str) -> None:
        raise PermissionError(f"{component.component_type.replace('_', ' ')} '{component.name}': 403 the credentials were refused")

    names = tuple(name for name in dir(type(component)) if _asks(type(component), name))
    with _wrapped(component, names, refuse):
        yield


def _asks(cls: type, name: str) -> bool:
    own = getattr(cls, name)
    return not name.startswith("_") and callable(own) and not isinstance(own, type) and name not in ("called", "configuration")


@contextmanager
def _wrapped(target: Any, names: tuple[str, ...], before: Callable[[str], None]) -> Iterator[None]:
    """Before each of these methods of one object, `before` is called with its name."""

    def wrap(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            before(name)
            return method(*args, **options)

        return called

    for name in names:
        target.__dict__[name] = wrap(name, getattr(target, name))
    try:
        yield
    finally:
        for name in names:
            del target.__dict__[name]


@contextmanager
def lost_worker(step: str, *, times: int = 1) -> Iterator[list[int]]:
    """Worker processes that run the step are killed, as by a machine that runs out of memory, `times` times. Needs `on_disk`.

    Gives the list of the pids that were killed. Only runs that begin inside the `with` are looked at. A step that runs in
    this process is refused with ConfigurationError at the end: ask for a process, `@step(isolated=True)`.
    """
    client, killed, stop, problems = Client(), list[int](), threading.Event(), list[str]()
    before = {run.id for run in client.list_runs(limit=None)}

    def hunt() -> None:
        done: set[tuple[str, int]] = set()
        while not stop.wait(_LOOK) and len(killed) < times and not problems:
            for run_id, number, pid in _attempts(client.ledger, before, step):
                if (run_id, number) in done:
                    continue
                done.add((run_id, number))
                if pid == os.getpid():
                    problems.append(f"Step '{step}' runs in this process, so its worker cannot be lost. Give it one: @step(isolated=True).")
                    break
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                break

    hunter = threading.Thread(target=hunt, name="dovetail-lost-worker", daemon=True)
    hunter.start()
    try:
        yield killed
    finally:
        stop.set()
        hunter.join()
    if problems:
        raise ConfigurationError(problems[0])


def _attempts(ledger: Ledger, before: set[str], step: str) -> Iterator[tuple[str, int, int]]:
    """(run, attempt, pid) of every attempt at the step that began in runs that are not among `before`."""
    for day in ledger.store.scan("runs"):
        for run in ledger.store.scan(f"runs/{day.name}"):
            records = ledger.run(run.name)
            for number in records.attempts(step) if run.name not in before else ():
                started = records.attempt(step, number)
                if started is not None and records.attempt(step, number, "ended") is None and records.outcome(step) is None:
                    yield run.name, number, int(started["pid"])
