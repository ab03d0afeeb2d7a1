"""Calls that are made at one moment, and readers that look while something is written."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from dovetail.components import ArtifactStore


def rounds() -> Iterator[int]:
    """Fewer where each takes long: what takes long is seen more easily."""
    until = time.monotonic() + 1.0
    for number in range(60):
        if number >= 6 and time.monotonic() > until:
            return
        yield number


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the calls gave, each made in a thread of its own at one moment after all were ready."""
    results, ready = [], _Ready()
    go = threading.Event()

    def made(call: Callable[[], Any]) -> Any:
        ready.say()
        go.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        try:
            for call in calls:
                results.append(threads.submit(made, call))
                ready.await_all(len(results))
            with _restless():
                go.set()
                return [result.result() for result in results]
        finally:
            go.set()


class _Ready:
    """Counts the threads that have started. Threads that start at one moment while they are traced can end each other."""

    def __init__(self) -> None:
        self._count = 0
        self._said = threading.Condition()

    def say(self) -> None:
        with self._said:
            self._count += 1
            self._said.notify_all()

    def await_all(self, count: int) -> None:
        with self._said:
            assert self._said.wait_for(lambda: self._count >= count, timeout=30), "a thread did not start"


@contextmanager
def _restless() -> Iterator[None]:
    """Threads take turns far more often, so that a gap between two calls is found."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # shorter ones leave a traced process no time to do anything else
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def sizes_seen(write: Callable[[], object], *looks: Callable[[], int | None]) -> set[int | None]:
    """Every size that readers saw before, while and after `write` did its work, one reader for each way to look."""
    seen: set[int | None] = set()
    watchers, ready, done = [], _Ready(), threading.Event()

    def watch(look: Callable[[], int | None]) -> None:
        ready.say()
        while not done.is_set():
            seen.add(look())
            time.sleep(1e-5)  # else readers that never wait keep everybody else from running
        seen.add(look())

    with ThreadPoolExecutor(len(looks)) as threads:
        try:
            for look in looks:
                watchers.append(threads.submit(watch, look))
                ready.await_all(len(watchers))
            with _restless():
                write()
        finally:
            done.set()
        for watcher in watchers:
            watcher.result()
    return seen


def ways_to_look(store: ArtifactStore, path: str) -> list[Callable[[], int | None]]:
    return [partial(_size_told, store, path), partial(_size_read, store, path)]


def _size_told(store: ArtifactStore, path: str) -> int | None:
    entry = store.stat(path)
    return entry.size if entry is not None else None


def _size_read(store: ArtifactStore, path: str) -> int | None:
    try:
        return len(store.read(path))
    except FileNotFoundError:
        return None
