"""Services and accounts, each once per session; and the table of what came of all of them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("matrix.cases")

from matrix.accounts import WHOLE_VARIABLE, Accounts
from matrix.backends import Axis, Backend, Configure
from matrix.table import Table

TABLE_VARIABLE = "DOVETAIL_PORTABILITY_TABLE"


class Services:
    """What the axes need, started when it is first asked for; a test whose axis cannot be had is skipped and says why."""

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


@pytest.fixture(scope="session")
def accounts(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    return Accounts(services.of, tmp_path_factory, whole=bool(os.environ.get(WHOLE_VARIABLE)))


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """Filled by the tests. Where that is asked for, what they found is added to a file, from which write_table.py makes the docs."""
    made = Table()
    yield made
    if os.environ.get(TABLE_VARIABLE):
        kept = Path(os.environ[TABLE_VARIABLE])
        Table.kept(kept).updated(made).keep(kept)


@pytest.fixture(scope="session")
def published() -> Table | None:
    """The table that the docs show; None while another is made."""
    return None if os.environ.get(TABLE_VARIABLE) else Table.published()


@pytest.fixture(autouse=True)
def nothing_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or file of this user's says who asks, or where."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def pytest_report_header() -> list[str]:
    whole: Any = os.environ.get(WHOLE_VARIABLE)
    return [f"portability: {'every case on every backend' if whole else f'a slice; {WHOLE_VARIABLE}=1 runs every case on every backend'}"]
