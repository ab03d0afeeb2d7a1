"""What goes wrong off the happy path, made to happen: lost workers, slow and failing stores, refused credentials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dovetail.components.component import Component
from dovetail.errors import ConfigurationError


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
    """The first `times` worker processes that are given the step are killed, as by a machine that runs out of memory.

    Gives the list of their pids. Raises ConfigurationError at the end where no worker was given the step: outside
    `on_disk`, or because it shares the process of the run.
    """
    from dovetail.execution.worker_process import WorkerProcess

    killed: list[int] = []
    send = WorkerProcess.run

    def run(worker: WorkerProcess, task: Mapping[str, Any], timeout: float | None, stop: Callable[[], bool]) -> dict[str, Any]:
        if task["invocation"] == step and len(killed) < times:
            killed.append(worker.kill())
        return send(worker, task, timeout, stop)

    setattr(WorkerProcess, "run", run)  # noqa: B010  # a plain assignment is refused by type checkers
    try:
        yield killed
    finally:
        setattr(WorkerProcess, "run", send)  # noqa: B010
    if not killed:
        raise ConfigurationError(f"No worker was given step '{step}', so none was lost. Use on_disk(), and give the step a process: @step(isolated=True).")
