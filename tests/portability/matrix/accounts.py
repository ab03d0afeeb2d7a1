"""What came of each case on each backend, and whether that is what came of it on the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from dovetail.errors import PreflightFailed
from dovetail.testing.run_record import Values
from matrix.backends import REFERENCE, Backend, Configure
from matrix.cases import Case
from matrix.comparing import differences
from matrix.site import site_on

WHOLE_VARIABLE = "DOVETAIL_PORTABILITY_FULL"


class Verdict(str, Enum):
    SAME = "same"
    REFUSED = "refused"
    BEYOND = "beyond"  # the reference refuses it, and this backend takes it
    DIFFERENT = "different"


@dataclass(frozen=True)
class Account:
    """`found` and `values`: what was noted. `refusals`: the problems that the checks before a run found, if they did."""

    found: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()


@dataclass
class Accounts:
    services: Callable[[Backend], Mapping[str, Configure]]
    folders: pytest.TempPathFactory
    whole: bool = False
    references: dict[str, Account] = field(default_factory=dict)

    def reference(self, case: Case) -> Account:
        if case.name not in self.references:
            self.references[case.name] = self.take(case, REFERENCE)
        return self.references[case.name]

    def take(self, case: Case, backend: Backend) -> Account:
        """Run the case in a project of its own."""
        configure = self.services(backend)
        values = Values()
        with pytest.MonkeyPatch.context() as monkeypatch:
            with site_on(backend, configure, self.folders.mktemp(case.name), monkeypatch, whole=self.whole) as site:
                site.values = values
                try:
                    case.check(site)
                except PreflightFailed as refused:
                    return Account(refusals=refused.problems)
        return Account(site.found, values.loaded)


def judged(backend: Backend, reference: Account, seen: Account) -> tuple[Verdict, list[str]]:
    """With why: what the backend refuses as it declares, or all that is different."""
    if seen.refusals:
        declared = [declared_as(problem, backend) for problem in seen.refusals]
        undeclared = [problem for problem, named in zip(seen.refusals, declared, strict=True) if named is None]
        return (Verdict.DIFFERENT, undeclared) if undeclared else (Verdict.REFUSED, [named for named in declared if named is not None])
    if reference.refusals:
        return Verdict.BEYOND, []
    found = differences(reference.found, seen.found) + differences(reference.values, seen.values)
    return (Verdict.DIFFERENT, found) if found else (Verdict.SAME, [])


def declared_as(problem: str, backend: Backend) -> str | None:
    """What the backend declares that it refuses and the sentence is about; None where it is not, or names no component of the stack."""
    if not any(f"'{axis.component}'" in problem for axis in (backend.orchestrator, backend.store)):
        return None
    return next((what for words, what in backend.refuses.items() if words in problem), None)
