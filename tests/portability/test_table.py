"""The published table is that of the cases and backends that there are, and the README's short form is the table's."""

from __future__ import annotations

from matrix.accounts import Verdict
from matrix.backends import BACKENDS, REFERENCE
from matrix.cases import CASES
from matrix.table import PAGE, README, Table, said


def test_the_published_table_has_a_cell_for_every_case_on_every_backend_and_no_other() -> None:
    published = Table.published()
    assert published.missing() == []
    assert set(published.cells) == {(case.title, backend.title) for case in CASES for backend in BACKENDS}


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
            assert cell in {said(Verdict.REFUSED, [what]) for what in backend.refuses.values()}, (case, title)


def test_there_are_enough_cases_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 25
    assert len({case.name for case in CASES}) == len({case.title for case in CASES}) == len(CASES)
    assert REFERENCE in BACKENDS


def test_a_table_with_holes_is_not_written() -> None:
    table = Table()
    table.put(CASES[0], REFERENCE, Verdict.SAME, [])
    before = README.read_text(encoding="utf-8")
    try:
        table.write()
    except ValueError as error:
        assert f"{len(CASES) * len(BACKENDS) - 1} cells are missing" in str(error)
    else:
        raise AssertionError("it was written")
    assert README.read_text(encoding="utf-8") == before
