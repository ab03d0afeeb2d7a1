"""What all steps of a process share: who may change it, and for how long."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_changed = threading.Condition()
_runs = 0
_held = False


@contextmanager
def taking_part(*, nested: bool) -> Iterator[None]:
    """A run of this process goes on: begun when no step of another has the process to itself, or at once when `nested` in a step."""
    global _runs  # noqa: PLW0603  # there is one process
    with _changed:
        while _held and not nested:
            _changed.wait()
        _runs += 1
    try:
        yield
    finally:
        with _changed:
            _runs -= 1


@contextmanager
def to_itself(*, wanted: bool) -> Iterator[bool]:
    """Whether the only running step of its run may change the process: until it ends no other run begins. False if one has begun."""
    global _held  # noqa: PLW0603  # there is one process
    with _changed:
        alone = wanted and _runs <= 1
        _held = _held or alone
    try:
        yield alone or not wanted
    finally:
        if alone:
            with _changed:
                _held = False
                _changed.notify_all()


@contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a block; afterwards they are what they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
