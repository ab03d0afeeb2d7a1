"""What differs between two runs and between two artifacts."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import pytest

from dovetail import RunFailed, save_artifact
from dovetail.client.comparing import compare_artifacts, compare_runs

from .conftest import study


def test_runs_that_are_alike_differ_in_nothing() -> None:
    first, second = study(), study()
    compared = compare_runs(first, second)
    assert compared.parameters == {}
    assert not any(step.differs for step in compared.steps.values())
    assert compared.steps["read"].status == ("completed", "cached")


def test_only_what_differs_is_told() -> None:
    compared = compare_runs(study(rows=4), study(rows=6))
    assert compared.parameters == {"rows": (4, 6)}
    assert compared.steps["read"].parameters == {"rows": (4, 6)}
    assert set(compared.steps["read"].outputs) == {"rows"}
    assert not compared.steps["weights"].differs
    assert compared.steps["square.5"].status == (None, "completed")


def test_a_step_that_did_not_run_is_not_compared_further() -> None:
    with pytest.raises(RunFailed) as failure:
        study(fail=True)
    compared = compare_runs(failure.value.run, study())
    assert compared.facts["status"] == ("failed", "completed")
    split = compared.steps["split"]
    assert (split.status, split.outputs, split.code, split.differs) == (("skipped", "completed"), {}, {}, True)


def both(first: Any, second: Any) -> Any:
    return compare_artifacts(save_artifact(first, "a"), save_artifact(second, "a"))


def test_json_values_are_compared_place_by_place() -> None:
    compared = both({"a": {"b": [1, 2, {"c": 3}]}, "same": 1}, {"a": {"b": [1, 5, {"c": 4}, 9]}, "same": 1})
    assert compared.value == {"a.b[1]": (2, 5), "a.b[2].c": (3, 4), "a.b[3]": (None, 9)}


@pytest.mark.parametrize(("first", "second"), [(1, True), (1, 1.0), ([1], (1,)), ("1", 1), (None, 0), ({"a": None}, {})])
def test_values_that_python_calls_equal_are_told_apart_by_type(first: Any, second: Any) -> None:
    compared = both(first, second)
    assert not compared.same
    assert len(compared.value) == 1


def test_a_nan_is_as_it_was() -> None:
    assert both([math.nan, 1], [math.nan, 2]).value == {"[1]": (1, 2)}


def test_the_same_content_is_the_same() -> None:
    compared = both({"a": 1}, {"a": 1})
    assert (compared.same, compared.facts, compared.value) == (True, {}, {})


def test_a_long_list_of_differences_is_cut() -> None:
    compared = both(list(range(1000)), list(range(1, 1001)))
    assert len(compared.value) == 201
    assert list(compared.value)[-1] == "…"


def test_other_values_are_compared_by_what_is_said_of_them() -> None:
    compared = both(OrderedDict(a=1), OrderedDict(a=22))
    assert compared.value == {}
    assert "these are collections:OrderedDict and collections:OrderedDict" in (compared.note or "")
    assert set(compared.facts) == {"size", "digest"}


def test_frames_are_compared_by_their_summaries() -> None:
    pandas = pytest.importorskip("pandas")
    first = pandas.DataFrame({"price": [1.0, 2.0, None], "name": ["a", "b", "b"], "old": [1, 2, 3]})
    second = pandas.DataFrame({"price": [1.0, 4.0], "name": ["a", "c"], "new": [True, False]})
    compared = both(first, second)
    assert compared.value["rows"] == (3, 2)
    assert compared.value["columns"] == (["price", "name", "old"], ["price", "name", "new"])
    assert compared.value["price: missing"] == (1, 0)
    assert compared.value["price: max"] == (2.0, 4.0)
    assert compared.value["old: mean"] == (2.0, None)
    assert "name: distinct" not in compared.value
    assert compared.metadata["rows"] == (3, 2)


def test_a_frame_with_odd_columns_is_compared_too() -> None:
    pandas = pytest.importorskip("pandas")
    first = pandas.DataFrame({"e": pandas.array([None, None], dtype="Int64"), "o": [[1], [2]], 3: pandas.to_datetime(["2026-01-01", "2026-01-02"])})
    second = first.iloc[:1]
    assert both(first, second).value["rows"] == (2, 1)
