"""Services and reference accounts, once per session."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dovetail.testing.run_record import Values
from matrix.backends import REFERENCE, Axis, Backend, Configure
from matrix.cases import Case
from matrix.site import site_on

WHOLE = bool(os.environ.get("DOVETAIL_PORTABILITY_FULL"))


class Services:
    """What the axes need, started when it is first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, Configure | str] = {}

    def of(self, backend: Backend) -> dict[str, Configure]:
        return {axis.title: self._of(axis) for axis in (backend.orchestrator, backend.store)}

    def _of(self, axis: Axis) -> Configure:
        if axis.title not in self._started:
            self._started[axis.title] = self._start(axis)
        found = self._started[axis.title]
        if isinstance(found, str):
            pytest.skip(found)
        return found

    def _start(self, axis: Axis) -> Configure | str:
        try:
            return self._stack.enter_context(axis.service())
        except Exception as error:
            if type(error).__name__ != "Unavailable":
                raise
            return f"{axis.title}: {error}"


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    with contextlib.ExitStack() as stack:
        yield Services(stack)


@dataclass
class Account:
    """What came of one case on one backend."""

    found: dict[str, Any]
    values: Values
    refusals: tuple[str, ...] = ()


@dataclass
class Accounts:
    """Of every case on the reference, once."""

    take: Callable[[Case, Backend], Account]
    taken: dict[str, Account] = field(default_factory=dict)

    def of(self, case: Case) -> Account:
        if case.name not in self.taken:
            self.taken[case.name] = self.take(case, REFERENCE)
        return self.taken[case.name]
