"""What is sent comes back with the types it had."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dovetail.components.serving.data import pack, request, unpack
from dovetail.values.encoding import NotEncodable


def sent(value: Any) -> Any:
    message = json.loads(json.dumps(request(value, "predict"), allow_nan=False))
    key = "columns" if "columns" in message else "instances"
    return unpack(message[key], message, "frame" if key == "columns" else "rows")


COLUMNS: dict[Any, Any] = {
    "whole": [1, 2, 3],
    "small": np.array([1, 2, 3], dtype="uint8"),
    "number": [1.0, np.nan, np.inf],
    "text": ["a", None, "c"],
    "mixed": pd.Series([dt.date(2020, 1, 1), None, np.nan], dtype=object),
    "flag": [True, False, True],
    "day": pd.to_datetime(["2020-01-01", "2020-01-02 03:04:05.123456789", None], format="ISO8601"),
    "zoned": pd.to_datetime(["2020-03-29", "2020-10-25", None]).tz_localize("Europe/Berlin"),
    "span": pd.to_timedelta(["1s", "2ns", None]),
    "month": pd.period_range("2020-01", periods=3, freq="M"),
    "kind": pd.Categorical(["x", None, "y"], categories=["y", "x", "z"], ordered=True),
    "dated kind": pd.Categorical(pd.to_datetime(["2020-01-01", "2020-01-02", None])),
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "nullable flag": pd.array([True, None, False], dtype="boolean"),
    "nullable number": pd.array([1.5, None, 2], dtype="Float32"),
    "string": pd.array(["a", None, "b"], dtype="string"),
    "sparse": pd.arrays.SparseArray([0.0, 1.0, 0.0]),
    7: [1, 2, 3],
    ("a", 1): [1, 2, 3],
}


@pytest.mark.parametrize("name", COLUMNS, ids=str)
def test_a_column_keeps_its_name_its_type_and_its_missing_values(name: Any) -> None:
    series = pd.Series(COLUMNS[name], name=name)
    pd.testing.assert_series_equal(sent(series), series)


def test_a_frame_keeps_its_columns_in_order_even_those_of_one_name() -> None:
    frame = pd.DataFrame({name: COLUMNS[name] for name in COLUMNS if isinstance(name, str)})
    pd.testing.assert_frame_equal(sent(frame), frame)
    twice = pd.DataFrame([[1, 2.5, "a"]], columns=["b", "a", "b"])
    pd.testing.assert_frame_equal(sent(twice), twice)
    assert sent(pd.DataFrame()).empty


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]]),
        np.array([1.5, np.nan, np.inf, -np.inf], dtype="float32"),
        np.array([1.0, 2.0], dtype=">f8"),
        np.zeros((0, 4)),
        np.array(3.0),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([b"x", b"\xff"]),
        np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
        np.array([5, 2], dtype="timedelta64[s]"),
        np.array([None, 1, "a"], dtype=object),
        np.array([1 + 2j]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_keeps_its_type_and_its_shape(array: Any) -> None:
    back = sent(array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5, "a", None, True],
        [{"a": 1}],
        "text",
        5,
        None,
        (1, [2]),
        [dt.date(2020, 1, 1)],
        {"a": 1},
        {"$": 1},
        decimal.Decimal("1.10"),
        [],
    ],
    ids=repr,
)
def test_plain_values_come_back_as_they_are(value: Any) -> None:
    assert sent(value) == value
    assert type(sent(value)) is type(value)


def test_a_dict_of_columns_becomes_a_frame() -> None:
    frame = sent({"a": [1, 2], "b": np.array([1.5, np.nan], dtype="float32"), "c": pd.Series(["x", "y"], index=[5, 6])})
    expected = pd.DataFrame({"a": [1, 2], "b": np.array([1.5, np.nan], dtype="float32"), "c": ["x", "y"]})
    pd.testing.assert_frame_equal(frame, expected)


def test_scalars_of_libraries_become_plain_ones() -> None:
    data, form = pack(
        [np.float32(1.5), {"m": np.int64(3)}, pd.Timestamp("2020-01-01"), pd.Timedelta("1s"), pd.NaT, pd.NA, np.array([1])]
    )
    assert form == {"kind": "rows"}
    assert unpack(data, form, "rows") == [1.5, {"m": 3}, dt.datetime(2020, 1, 1), dt.timedelta(seconds=1), None, None, [1]]


@pytest.mark.parametrize("value", [object(), [len], np.zeros(2, dtype=[("a", "i4")]), pd.Series([pd.Interval(0, 1)])], ids=lambda value: type(value).__name__)
def test_what_has_no_form_as_json_is_refused(value: Any) -> None:
    with pytest.raises(NotEncodable):
        request(value, "predict")


def test_where_numpy_and_pandas_are_missing_lists_and_dicts_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    array = request(np.array([[1.5, np.nan]]), "predict")
    frame, series = request(pd.DataFrame({"a": [1, 2]}), "predict"), request(pd.Series([1, 2]), "predict")
    for name in ("numpy", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    assert unpack(array["instances"], array, "rows") == [[1.5, None]]
    assert unpack(frame["columns"], frame, "frame") == {"a": [1, 2]}
    assert unpack(series["columns"], series, "frame") == [1, 2]
