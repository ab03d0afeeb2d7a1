from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import polars as pl
import pytest
from dovetail.errors import MaterializerError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

COLUMNS: dict[str, Any] = {
    "ints": pl.Series([1, None, 3], dtype=pl.Int16),
    "wide": pl.Series([1, None, 2**63], dtype=pl.UInt64),
    "floats": pl.Series([1.5, None, float("nan")]),
    "bools": pl.Series([True, None, False]),
    "text": pl.Series(["a", None, "a text of more than twelve bytes"]),
    "bytes": pl.Series([b"a", None, b""]),
    "dates": pl.Series([dt.date(2024, 1, 1), None, dt.date(1969, 1, 1)]),
    "moments": pl.Series([dt.datetime(2024, 1, 1), None, dt.datetime(1969, 1, 1)], dtype=pl.Datetime("ms", "Europe/Berlin")),
    "times": pl.Series([dt.time(1, 2), None, dt.time(3)]),
    "durations": pl.Series([dt.timedelta(1), None, dt.timedelta(-1)]),
    "decimals": pl.Series([decimal.Decimal("1.10"), None, decimal.Decimal("2.00")], dtype=pl.Decimal(10, 2)),
    "enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["b", "a", "c"])),
    "nothing": pl.Series([None, None, None]),
    "nothing of a type": pl.Series([None, None, None], dtype=pl.String),
    "categories": pl.Series(["b", None, "a"], dtype=pl.Categorical),
    "lists": pl.Series([[1, None], None, []], dtype=pl.List(pl.Int64)),
    "arrays": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    "structs": pl.Series([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
}
CERTAIN = hasattr(pl, "CompatLevel")  # older ones cannot write text in the order of the rows
UNCERTAIN = ("categories", "lists", "arrays", "structs")


@pytest.mark.parametrize("name", COLUMNS)
def test_frames_and_series_come_back_equal_with_their_types(shelf: Any, name: str) -> None:
    series = COLUMNS[name].alias("x")
    for part in (series, series[:0], series[1:]):
        loaded = shelf.round_trip(part, trusted=False)
        assert type(loaded) is pl.Series
        assert_series_equal(loaded, part, categorical_as_str=True)
        assert loaded.dtype == part.dtype
        frame = part.to_frame()
        again = shelf.round_trip({"f": frame})["f"]
        assert type(again) is pl.DataFrame
        assert_frame_equal(again, frame, categorical_as_str=True)
        assert again.schema == frame.schema


@pytest.mark.parametrize("name", COLUMNS)
def test_equal_frames_give_equal_bytes_however_they_lie_in_memory(shelf: Any, name: str) -> None:
    frame = COLUMNS[name].alias("x").to_frame()
    pieces = pl.concat([frame[:1], frame[1:]], rechunk=False)
    cut = pl.concat([frame, frame, frame])[3:6]
    _, saved = shelf.save(frame)
    assert saved.deterministic == (CERTAIN and name not in UNCERTAIN)
    if saved.deterministic:
        assert shelf.content(frame) == shelf.content(pieces) == shelf.content(cut) == shelf.content(shelf.round_trip(frame))


@pytest.mark.skipif(not CERTAIN, reason="polars writes text as it lies")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.text(), st.integers(-9, 9), st.booleans(), st.binary()), min_size=1))
def test_what_lies_under_a_missing_value_leaves_no_trace(shelf: Any, rows: list[Any]) -> None:
    full = pl.DataFrame([row[1:] for row in rows], schema={"s": pl.String, "i": pl.Int32, "b": pl.Boolean, "y": pl.Binary}, orient="row")
    kept = pl.Series([row[0] for row in rows])
    masked = full.with_columns(pl.when(kept).then(pl.all()))
    built = pl.DataFrame(
        [row[1:] if row[0] else (None,) * 4 for row in rows], schema={"s": pl.String, "i": pl.Int32, "b": pl.Boolean, "y": pl.Binary}, orient="row"
    )
    assert masked.equals(built)
    assert shelf.content(masked) == shelf.content(built)
    assert shelf.content(full.filter(kept)) == shelf.content(built.filter(kept))
    shelf.clear()


def test_a_lazy_frame_is_computed_once_and_comes_back_lazy(shelf: Any) -> None:
    runs = []
    lazy = pl.LazyFrame({"a": [1, 2, 3]}).map_batches(lambda frame: (runs.append(1), frame)[1]).filter(pl.col("a") > 1)
    folder, saved = shelf.save(lazy)
    computed = len(runs)
    loaded = shelf.load(folder, saved)
    assert type(loaded) is pl.LazyFrame
    assert loaded.collect().to_dict(as_series=False) == {"a": [2, 3]}
    assert len(runs) == computed == 1


def test_frames_without_columns_and_in_odd_places_come_back(shelf: Any, tmp_path: Any) -> None:
    assert shelf.round_trip(pl.DataFrame()).shape == (0, 0)
    shelf.root = tmp_path / "odd [1] *"
    shelf.root.mkdir()
    for value in (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}).lazy()):
        assert shelf.round_trip(value).lazy().collect().to_dict(as_series=False) == {"a": [1]}


def test_columns_of_python_objects_are_refused_with_the_cure(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match="Convert columns of Python objects"):
        shelf.save(pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}))


def test_a_loaded_frame_can_be_changed_and_the_artifact_stays_as_it_was(shelf: Any) -> None:
    folder, saved = shelf.save(pl.DataFrame({"a": [1, 2]}))
    before = shelf.files(folder)
    loaded = shelf.load(folder, saved)
    loaded[0, "a"] = 9
    assert loaded["a"].to_list() == [9, 2]
    assert shelf.files(folder) == before


def test_metadata_says_rows_columns_and_types(shelf: Any) -> None:
    metadata = shelf.save(pl.DataFrame({"a": [1.5], "b": ["x"]}))[1].metadata
    assert (metadata["rows"], metadata["columns"], metadata["dtypes"]) == (1, ["a", "b"], ["Float64", "String"])
