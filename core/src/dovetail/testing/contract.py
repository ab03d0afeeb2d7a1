"""What all contracts share: promises are test methods, and one that is left out is left out by name, with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dovetail.errors import DefinitionError, near
from dovetail.testing.trial import TrialProject, isolate, project_in

_PROMISE = "test_"


class Contract:
    """Base of the contract classes. A subclass named `Test…` gives the fixtures and inherits the promises.

    `waived`: promises that the implementation does not keep, by name, each with its reason. A waived promise is still
    tried, and fails when it is kept after all; to override one, or to waive without a reason, is an error.
    """

    waived: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        problems = [*_overridden(cls), *_badly_waived(cls)]
        if problems:
            raise DefinitionError(f"{cls.__name__}: {' '.join(problems)}")

    @pytest.fixture(autouse=True)
    def _isolated(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        isolate(tmp_path, monkeypatch)

    @pytest.fixture
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
        """Runs pipelines on components; see TrialProject."""
        with project_in(tmp_path / "project", monkeypatch) as made:
            yield made

    @pytest.fixture(autouse=True)
    def _as_waived(self, request: pytest.FixtureRequest) -> None:
        """Marked here and not at collection, so that a fixture that fails is an error even where the promise is waived."""
        reason = self.waived.get(getattr(request.node, "originalname", request.node.name))
        if reason is not None:
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _overridden(cls: type[Contract]) -> Iterator[str]:
    for name in vars(cls):
        inherited = any(name in vars(base) for base in cls.__mro__[1:] if not base.__name__.startswith("Test"))
        if name.startswith(_PROMISE) and inherited:
            yield f"the promise {name} is overridden. Rename your own test, or waive the promise with a reason."


def _badly_waived(cls: type[Contract]) -> Iterator[str]:
    promises = {name for name in dir(cls) if name.startswith(_PROMISE)}
    for name, reason in cls.waived.items():
        if name not in promises:
            yield f"`waived` names {name!r}, which is no promise. {near(name, promises)}"
        elif not (isinstance(reason, str) and reason.strip()):
            yield f"`waived` gives no reason for {name}. Say in a sentence why it cannot be kept."
