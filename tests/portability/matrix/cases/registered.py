"""The list of cases, filled by `@case`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matrix.site import Site

CASES: list[Case] = []


@dataclass(frozen=True)
class Case:
    """`sliced`: it runs on every backend also where only a slice of the matrix does."""

    title: str
    chapter: str
    check: Callable[[Site], None]
    sliced: bool

    @property
    def name(self) -> str:
        return self.check.__name__


def case(title: str, *, sliced: bool = False) -> Callable[[Callable[[Site], None]], Callable[[Site], None]]:
    def register(check: Callable[[Site], None]) -> Callable[[Site], None]:
        CASES.append(Case(title, check.__module__.rpartition(".")[2], check, sliced))
        return check

    return register
