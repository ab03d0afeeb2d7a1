"""A record that is JSON of another shape, whatever the shape, gives a clear error where it counts, and hides nothing else."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, Model, pipeline, step
from dovetail.client.explaining import explain
from dovetail.errors import DovetailError
from dovetail.ledger.verifying import verify

_ODD: tuple[Any, ...] = (None, 5, "x", [], {}, [1], {"a": 1}, -1.5, True)


@step
def items() -> list[int]:
    return [1, 2]


@step
def square(n: int) -> int:
    return n * n


@step(enable_cache=False)
def total(squares: list[int]) -> int:
    return sum(squares)


@pipeline(model=Model("m"))
def squaring() -> None:
    total(square.map(items()))


def read_everything() -> None:
    for run in Client().list_runs():
        repr(run), run.plan
        for found in run.steps.values():
            repr(found), found.inputs, found.metrics, found.parameters, found.log(), found.children, found.attempts, found.seconds, found.error
            for output in found.outputs.values():
                output.load()


_USES: tuple[Callable[[], Any], ...] = (
    read_everything,
    lambda: [(version.stage, version.run) for version in Client().get_model("m").versions],
    lambda: Client().list_artifacts(),
    lambda: explain(Client(), Client().list_runs()[0], "total"),
    lambda: verify(Client().ledger),
    squaring,
)


def changed(record: Any) -> Iterator[Any]:
    yield from ([], {}, "x", 5)
    for name, value in record.items():
        yield from ({**record, name: odd} for odd in _ODD if type(odd) is not type(value) or odd != value)
        if isinstance(value, dict):
            yield from ({**record, name: {**value, inner: odd}} for inner in list(value)[:2] for odd in _ODD)


@pytest.mark.parametrize(
    "path",
    [
        "format.json", "cache/*/*/1.json", "names/models/*/versions/1.json", "names/artifacts/*/1.json", "runs/*/*/plan.json", "runs/*/*/run.json",
        "runs/*/*/started.json", "runs/*/*/finished.json", "runs/*/*/steps/total/outcome.json", "runs/*/*/steps/square/expansion.json",
    ],
)  # fmt: skip
def test_no_shape_of_a_record_raises_anything_but_an_error_of_ours(store_root: Path, isolated: Path, path: str) -> None:
    squaring()
    squaring()
    (isolated / "good").mkdir()
    shutil.copytree(store_root, isolated / "good" / "store")
    place = next(store_root.glob(path))
    cases = list(changed(json.loads(place.read_text())))
    for odd in random.Random(path).sample(cases, min(12, len(cases))):
        shutil.rmtree(store_root)
        shutil.rmtree(isolated / "cache", ignore_errors=True)
        shutil.copytree(isolated / "good" / "store", store_root)
        place.unlink()
        place.write_text(json.dumps(odd))
        for use in _USES:
            try:
                use()
            except DovetailError as error:
                assert str(error)
            except Exception as error:
                raise AssertionError(f"{json.dumps(odd)} in {path}") from error
