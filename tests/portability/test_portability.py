"""Every case on every backend: what is recorded is what the local reference records, or the backend refuses before the run.

Unless DOVETAIL_PORTABILITY_FULL is set: every case on those backends that take a moment, and the cases that are marked
`sliced=True` on some of the others, in which every orchestrator and every store is met.
"""

from __future__ import annotations

import os

import pytest

from matrix.accounts import WHOLE_VARIABLE, Accounts, Verdict, judged
from matrix.backends import AZURE, BACKENDS, DOCKER, FOLDER, GCS, PROCESSES, REFERENCE, S3, SAGEMAKER, THREADS, VERTEX, Backend
from matrix.cases import CASES, Case
from matrix.table import Table

QUICK = (REFERENCE, Backend(PROCESSES, FOLDER))
SLICED = (
    *(Backend(DOCKER, store) for store in (FOLDER, S3)), *(Backend(THREADS, store) for store in (S3, GCS, AZURE)), Backend(VERTEX, GCS), Backend(SAGEMAKER, S3),
)  # fmt: skip
WHOLE = bool(os.environ.get(WHOLE_VARIABLE))
CHOSEN = [
    (case, backend)
    for backend in BACKENDS
    if backend.is_installed()
    for case in CASES
    if WHOLE or backend in QUICK or (case.sliced and backend in SLICED)
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::dovetail.materializers.pickles.PickleWarning")  # one case is about such a value
@pytest.mark.parametrize(("case", "backend"), CHOSEN, ids=[f"{case.name}-{backend.orchestrator.component}-{backend.store.component}" for case, backend in CHOSEN])
def test_what_is_recorded_is_what_the_reference_records(
    case: Case, backend: Backend, accounts: Accounts, table: Table, published: Table | None
) -> None:
    reference = accounts.reference(case)
    verdict, why = judged(backend, reference, accounts.take(case, backend))
    table.put(case, backend, verdict, why)
    assert verdict is not Verdict.DIFFERENT, "\n".join([f"'{case.title}' on {backend.title}:", *why])
    if published is not None:
        cell = (case.title, backend.title)
        assert published.cells.get(cell, table.cells[cell]) == table.cells[cell], "the docs say otherwise; write them anew: nox -s portability"
