from __future__ import annotations

import datetime as dt
import decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dovetail.errors import MaterializerError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = pd.to_datetime(["2024-03-31 00:30", None, "2024-10-27 00:30"])

COLUMNS: dict[str, Any] = {
    "floats": [0.1, float("nan"), float("inf")],
    "float32": np.array([0.1, -0.0, 3], "f4"),
    "float16": np.array([0.1, 2, 3], "f2"),
    "ints": [1, -2, 3],
    "uint8": np.array([1, 2, 255], "u1"),
    "bools": [True, False, True],
    "complex": np.array([1 + 2j, 3j, complex("nan")]),
    "text": ["a", "ü\x00b", ""],
    "missing text": ["a", None, "b"],
    "object text": pd.Series(["a", "b", "c"], dtype=object),
    "object text with None": pd.Series(["a", None, "c"], dtype=object),
    "object text with nan": pd.Series(["a", float("nan"), "c"], dtype=object),
    "object text with both": pd.Series(["a", float("nan"), None], dtype=object),
    "objects": pd.Series([1, "a", decimal.Decimal("1.10")], dtype=object),
    "nothing": pd.Series([None, None, None], dtype=object),
    "lists": pd.Series([[1, 2], ["a"], []], dtype=object),
    "dicts": pd.Series([{"a": 1}, {}, {"b": (1, 2)}], dtype=object),
    "arrays": pd.Series([np.arange(3), np.arange(2.0), np.array([[1]])], dtype=object),
    "dates": pd.Series([dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)], dtype=object),
    "numpy scalars": pd.Series([np.float32(1.5), np.int8(3), np.str_("x")], dtype=object),
    "int8 nullable": pd.array([1, None, 3], dtype="Int8"),
    "uint64 nullable": pd.array([1, None, 2**64 - 1], dtype="UInt64"),
    "float nullable": pd.array([1.5, None, 3], dtype="Float32"),
    "bool nullable": pd.array([True, None, False], dtype="boolean"),
    "string python": pd.array(["a", None, "c"], dtype="string[python]"),
    "string pyarrow": pd.array(["a", None, "c"], dtype="string[pyarrow]"),
    "seconds": np.array(["2024-01-01", "NaT", "1969-12-31"], "M8[s]"),
    "moments": MOMENTS,
    "moments in Berlin": MOMENTS.tz_localize("UTC").tz_convert(BERLIN),
    "moments in UTC": MOMENTS.tz_localize("UTC"),
    "moments with an offset": MOMENTS.tz_localize(dt.timezone(dt.timedelta(hours=3, minutes=30))),
    "durations": pd.to_timedelta(["1 day", None, "-3 ns"]),
    "months": pd.PeriodIndex(["2024-01", None, "2024-03"], freq="M"),
    "intervals": pd.IntervalIndex.from_tuples([(0, 1), (1, 2), (2, 3)], closed="left"),
    "float intervals": pd.arrays.IntervalArray.from_tuples([(0.0, 1.5), None, (2, 3)]),
    "categories": pd.Categorical(["b", None, "a"], categories=["b", "a", "unused"]),
    "ordered": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "hi"], ordered=True),
    "number categories": pd.Categorical([3, 1, 3]),
    "cut": pd.cut([1, 5, 9], [0, 4, 8, 12]),
    "moment categories": pd.Categorical(MOMENTS.tz_localize("UTC")),
    "arrow": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int16())),
    "arrow text": pd.array(["a", None, "c"], dtype=pd.ArrowDtype(pa.string())),
    "arrow lists": pd.array([[1], None, [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "sparse": pd.arrays.SparseArray([0, 0, 7]),
    "sparse floats": pd.arrays.SparseArray([1.5, float("nan"), float("nan")]),
}


def frame_of(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: COLUMNS[name] for name in names})


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, pd.DataFrame):
        assert_frame_equal(found, expected, check_freq=True, check_flags=True)
        assert [type(each) for each in found.columns] == [type(each) for each in expected.columns]
    elif isinstance(expected, pd.Series):
        assert_series_equal(found, expected, check_freq=True, check_flags=True)
        assert type(found.name) is type(expected.name)
    else:
        assert_index_equal(found, expected, exact=True)
    assert getattr(found, "attrs", None) == getattr(expected, "attrs", None)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_kind_of_column_comes_back_equal_and_of_its_type(shelf: Any, name: str) -> None:
    frame = pd.DataFrame({"x": COLUMNS[name]})
    loaded = shelf.round_trip(frame, trusted=False)
    assert_same(loaded, frame)
    assert [type(value) for value in loaded["x"]] == [type(value) for value in frame["x"]]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_kind_of_series_comes_back_equal(shelf: Any, name: str) -> None:
    series = pd.Series(COLUMNS[name], name=("a", 1), index=[9, 8, 9])
    series.attrs["unit"] = {"of": ["m", 1]}
    assert_same(shelf.round_trip(series, trusted=False), series)


@pytest.mark.parametrize("name", COLUMNS)
def test_no_kind_of_column_needs_rows(shelf: Any, name: str) -> None:
    frame = pd.DataFrame({"x": COLUMNS[name]}).iloc[:0]
    assert_same(shelf.round_trip(frame, trusted=False), frame)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("arrays", "lists", "dicts", "float16")])
def test_every_kind_of_index_comes_back_equal(shelf: Any, name: str) -> None:
    index = pd.Index(COLUMNS[name], name="key") if name not in ("sparse", "sparse floats") else pd.Index(COLUMNS[name])
    assert_same(shelf.round_trip(index), index)
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=index)
    assert_same(shelf.round_trip(frame), frame)


@pytest.mark.parametrize("name", [name for name in COLUMNS if not isinstance(COLUMNS[name], (list, pd.Series, np.ndarray, pd.Index))])
def test_pandas_arrays_come_back_equal_and_of_their_type(shelf: Any, name: str) -> None:
    values = COLUMNS[name]
    loaded = shelf.round_trip(values)
    assert type(loaded) is type(values)
    assert_series_equal(pd.Series(loaded), pd.Series(values))


INDEXES = {
    "range": pd.RangeIndex(3, 30, 9, name="r"),
    "empty range": pd.RangeIndex(0),
    "hours": pd.date_range("2024-01-01", periods=3, freq="h", tz="Europe/Berlin"),
    "business days": pd.date_range("2024-01-01", periods=3, freq="B"),
    "levels": pd.MultiIndex.from_product([["b", "a"], [1, 2]], names=["x", None]),
    "levels of dates and intervals": pd.MultiIndex.from_arrays([MOMENTS, pd.cut([1, 5, 9], [0, 4, 8, 12])], names=[("t", 1), 2]),
    "levels with unused values": pd.MultiIndex.from_product([["b", "a"], [1, 2]])[:1],
    "tuples": pd.Index([("a", 1), ("b", 2)], tupleize_cols=False),
    "mixed labels": pd.Index([1, "1", None, 2.5, dt.date(2024, 1, 1)], dtype=object),
    "many labels": pd.Index([f"column {n}" for n in range(2000)]),
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_come_back_equal_as_values_as_rows_and_as_columns(shelf: Any, name: str) -> None:
    index = INDEXES[name]
    loaded = shelf.round_trip(index)
    assert_same(loaded, index)
    assert getattr(loaded, "freq", None) == getattr(index, "freq", None)
    rows = pd.DataFrame({"x": range(len(index))}, index=index)
    assert_same(shelf.round_trip(rows), rows)
    columns = pd.DataFrame([range(len(index))] * 2, columns=index)
    assert_same(shelf.round_trip(columns), columns)


@pytest.mark.parametrize("labels", [["a", "a"], [1, 2], [("x", 1), "y"], [None, 1.5], ["1", 1], ["", "\ud800"], [pd.Timestamp(0), pd.NaT]])
def test_column_names_may_be_anything_and_repeat(shelf: Any, labels: list[Any]) -> None:
    frame = pd.DataFrame([[1, "x"], [2, "y"]])
    frame.columns = pd.Index(labels, dtype=object, tupleize_cols=False)
    assert_same(shelf.round_trip(frame), frame)


def test_frames_without_columns_or_rows_keep_what_they_have(shelf: Any) -> None:
    for frame in (
        pd.DataFrame(),
        pd.DataFrame(index=pd.Index(["a", "b"], name="i")),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame(columns=pd.MultiIndex.from_product([["a"], ["b"]])),
        pd.DataFrame({"a": [1.0], "b": [2.0]}).iloc[:0],
    ):
        assert_same(shelf.round_trip(frame), frame)


def test_attributes_and_flags_of_a_frame_are_kept(shelf: Any) -> None:
    frame = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    frame.attrs = {"source": ("x", 1), "frame": None, 3: {1, 2}}
    assert_same(shelf.round_trip(frame), frame)


def test_a_loaded_frame_can_be_written_to_and_the_artifact_stays_as_it_was(shelf: Any) -> None:
    frame = frame_of([name for name in COLUMNS if name not in ("nothing", "lists", "dicts", "arrays", "arrow lists", "sparse", "sparse floats")])
    folder, saved = shelf.save(frame)
    before = shelf.files(folder)
    loaded = shelf.load(folder, saved)
    for number in range(loaded.shape[1]):
        loaded.iloc[0, number] = loaded.iloc[2, number]
    loaded["new"] = 1
    loaded.loc[1, "floats"] = 7.0
    uniform = shelf.round_trip(pd.DataFrame(np.zeros((3, 2))))
    uniform.loc[0, 1] = 5.0
    assert uniform.loc[0, 1] == 5.0
    assert loaded.loc[1, "floats"] == 7.0
    assert shelf.files(folder) == before
    assert_same(shelf.load(folder, saved), frame)


def test_a_frame_of_several_windows_comes_back_whole(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.materializers.arrow_file.write.__defaults__", (7,))
    monkeypatch.setattr("dovetail.materializers.arrow_file.WINDOW", 7)
    frame = pd.concat([frame_of(list(COLUMNS))] * 10, ignore_index=True)
    assert_same(shelf.round_trip(frame, trusted=False), frame)


@pytest.mark.parametrize("name", COLUMNS)
def test_equal_frames_give_equal_bytes_however_they_lie_in_memory(shelf: Any, name: str) -> None:
    frame = pd.DataFrame({"x": COLUMNS[name]})
    longer = pd.concat([frame, frame, frame])
    again = longer.iloc[3:6].reset_index(drop=True)
    chunked = pd.concat([frame.iloc[:1], frame.iloc[1:]])
    if repr(frame["x"].tolist()) != repr(chunked["x"].tolist()):
        pytest.skip("pandas changed the values when it put them together")
    assert shelf.content(frame) == shelf.content(again)
    chunked.index = frame.index
    assert shelf.content(frame) == shelf.content(chunked)
    assert shelf.save(frame)[1].deterministic


def test_what_lies_under_a_missing_value_leaves_no_trace(shelf: Any) -> None:
    one, other = (pd.arrays.IntegerArray(np.array([1, under, 3]), np.array([False, True, False])) for under in (5, 6))
    assert shelf.content(pd.Series(one)) == shelf.content(pd.Series(other))
    texts = pd.Series(["a", "bb", "c"], dtype="string[pyarrow]")
    masked = texts.mask([False, True, False])
    assert shelf.content(masked) == shelf.content(pd.Series(["a", None, "c"], dtype="string[pyarrow]"))


def test_a_frame_laid_out_by_rows_and_one_by_columns_are_the_same_frame(shelf: Any) -> None:
    values = np.arange(12.0).reshape(4, 3)
    assert shelf.content(pd.DataFrame(values)) == shelf.content(pd.DataFrame({n: values[:, n].copy() for n in range(3)}).set_axis(pd.RangeIndex(3), axis=1))


class Table(pd.DataFrame):
    """Has more than a frame has."""

    _metadata = ["title"]

    @property
    def _constructor(self) -> type[Table]:
        return Table


def test_a_subclass_of_a_frame_never_becomes_a_plain_frame(shelf: Any) -> None:
    table = Table({"a": [1]})
    table.title = "t"
    with pytest.warns(UserWarning, match="Table are pickled"):
        loaded = shelf.round_trip(table)
    assert type(loaded) is Table
    assert loaded.title == "t"


def test_an_unknown_column_type_is_refused_by_the_columns_name(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match="Column 'bad' of the frame cannot be saved. A value of type builtins:generator"):
        shelf.save(pd.DataFrame({"bad": pd.Series([(n for n in ()), 1], dtype=object)}))
    with pytest.raises(MaterializerError, match="text|surrogates"):
        shelf.save(pd.DataFrame({"bad": pd.Series(["\ud800"], dtype=object)}))


def test_metadata_says_rows_columns_and_types_and_is_bounded(shelf: Any) -> None:
    frame = pd.DataFrame(np.zeros((5, 300)))
    _, saved = shelf.save(frame)
    assert saved.metadata["rows"] == 5
    assert saved.metadata["column_count"] == 300
    assert saved.metadata["columns"] == [str(n) for n in range(100)]
    assert saved.metadata["dtypes"] == ["float64"] * 100
    assert 5 * 300 * 8 < saved.metadata["bytes"] < 5 * 300 * 8 + 100_000


SCALARS = [
    pd.Timestamp("2024-01-01 12:00:00.123456789"),
    pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert(BERLIN),
    pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert(BERLIN),
    pd.Timestamp("2024-01-01").as_unit("s"),
    pd.Timedelta("-1 days 3 ns"),
    pd.Timedelta(5, "s").as_unit("ms"),
    pd.Period("2024-03", "M"),
    pd.Interval(0, 1.5, closed="both"),
    pd.Interval(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")),
]


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_pandas_scalars_come_back_equal_and_of_their_type(shelf: Any, value: Any) -> None:
    for loaded in (shelf.round_trip(value), shelf.round_trip({"x": [value]})["x"][0]):
        assert type(loaded) is type(value)
        assert loaded == value
        assert getattr(loaded, "unit", None) == getattr(value, "unit", None)
        assert getattr(loaded, "tzinfo", None) == getattr(value, "tzinfo", None)


def test_missing_values_of_pandas_are_the_same_objects_again(shelf: Any) -> None:
    loaded = shelf.round_trip([pd.NA, pd.NaT])
    assert loaded[0] is pd.NA
    assert loaded[1] is pd.NaT


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.none(), st.floats(), st.integers(), st.booleans(), st.text(), st.dates(), st.tuples(st.integers()), st.binary(), st.just(pd.NA)
        )
    ),
    st.booleans(),
)
def test_any_mixture_of_objects_in_a_column_comes_back(shelf: Any, values: list[Any], as_object: bool) -> None:
    series = pd.Series(values, dtype=object) if as_object else pd.Series(values)
    loaded = shelf.round_trip(series)
    assert loaded.dtype == series.dtype
    assert repr(loaded.tolist()) == repr(series.tolist())
    shelf.clear()


def test_a_large_frame_is_read_whole(shelf: Any) -> None:
    values = np.random.default_rng(0).random((1_500_000, 3))
    uniform = pd.DataFrame(values)
    assert shelf.round_trip(uniform).equals(uniform)
    mixed = uniform.assign(text=pd.Series(["a", "b", "c"] * 500_000, dtype="string[pyarrow]"), flag=True)
    assert shelf.round_trip(mixed).equals(mixed)


def test_a_failure_while_several_threads_read_is_raised(shelf: Any) -> None:
    folder, saved = shelf.save(pd.DataFrame(np.zeros((1_500_000, 3))))
    document = (folder / "frame.json").read_text()
    (folder / "frame.json").write_text(document.replace('"at":[1500000,2]', '"at":[1500000,9]'))
    with pytest.raises(MaterializerError):
        shelf.load(folder, saved)


def test_frequencies_that_no_name_tells_are_kept(shelf: Any) -> None:
    offset = pd.offsets.CustomBusinessDay(holidays=["2024-01-03"])
    index = pd.date_range("2024-01-01", periods=3, freq=offset)
    with pytest.warns(UserWarning, match="CustomBusinessDay are pickled"):
        assert shelf.round_trip(index).freq == offset


def test_numpy_data_in_a_pandas_array_comes_back(shelf: Any) -> None:
    wrapper = getattr(pd.arrays, "NumpyExtensionArray", None) or pd.arrays.PandasArray
    value = wrapper(np.array([1.5, 2]))
    loaded = shelf.round_trip(value)
    assert type(loaded) is wrapper
    assert loaded.tolist() == [1.5, 2]


class Rank(pd.api.extensions.ExtensionDtype):
    name = "rank"
    type = int

    @classmethod
    def construct_array_type(cls) -> Any:
        return Ranks


class Ranks(pd.api.extensions.ExtensionArray):
    dtype = Rank()

    def __len__(self) -> int:
        return 0


class Labels(pd.Index):
    pass


class Span(pd.Interval):
    pass


def test_types_that_extend_pandas_are_refused_with_the_cure(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match=r"pandas type rank \(Rank\).*astype\(object\)"):
        shelf.save(Ranks())
    with pytest.raises(MaterializerError, match="Labels would come back as a plain pandas index"):
        shelf.save(object.__new__(Labels))
    with pytest.raises(MaterializerError, match="would come back as the pandas scalar"):
        shelf.save([Span(0, 1)])
