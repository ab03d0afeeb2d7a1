"""The published table is that of the cases and backends that there are, and the README's short form is the table's."""

from __future__ import annotations

from matrix.accounts import Verdict
from matrix.backends import BACKENDS, ORCHESTRATORS, REFERENCE, STORES
from matrix.cases import CASES
from matrix.table import PAGE, README, Table


def test_the_published_table_is_of_the_cases_and_backends_that_there_are() -> None:
    assert set(Table.published().cells) <= {(case.title, backend.title) for case in CASES for backend in BACKENDS}


def test_every_orchestrator_and_every_store_was_tried_with_every_case() -> None:
    untried = {title for _, title in Table.published().missing()}
    whole = [backend for backend in BACKENDS if backend.title not in untried]
    with_a_bucket = [backend for backend in whole if backend.store.flavor != "local"]
    assert {backend.orchestrator.title for backend in with_a_bucket} == {axis.title for axis in ORCHESTRATORS}
    assert {backend.store.title for backend in whole} == {axis.title for axis in STORES}


def test_nothing_that_is_published_is_a_difference() -> None:
    signs = {cell.partition(":")[0] for cell in Table.published().cells.values()}
    assert signs <= {"✓", "refused", "beyond"}


def test_docs_page_and_readme_are_written_from_one_table() -> None:
    published = Table.published()
    assert PAGE.read_text(encoding="utf-8") == published.page()
    assert published.section() in README.read_text(encoding="utf-8")


def test_what_is_refused_is_what_the_backend_declares() -> None:
    for (case, title), cell in Table.published().cells.items():
        backend = next(backend for backend in BACKENDS if backend.title == title)
        if cell.startswith("refused"):
            assert set(cell.removeprefix("refused: ").split("; ")) <= set(backend.refuses.values()), (case, title)


def test_there_are_enough_cases_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 25
    assert len({case.name for case in CASES}) == len({case.title for case in CASES}) == len(CASES)
    assert REFERENCE in BACKENDS


def test_what_was_not_tried_is_shown_as_such() -> None:
    table = Table()
    table.put(CASES[0], REFERENCE, Verdict.SAME, [])
    assert table.markdown().count("·") == len(CASES) * len(BACKENDS)  # with the legend's one, and without the cell that was tried
    assert "1 ✓, 8 not tried" in table.section()
