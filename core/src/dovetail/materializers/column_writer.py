"""Pandas arrays and indexes of every type, as columns of Arrow files and a JSON description of what they were.

Columns of one length share a file, `rows-<length>.arrow`: a frame's columns and index levels do, and so may the categories
of its categoricals.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import arrow_file
from dovetail.materializers.library import library
from dovetail.materializers.structure import Encoder

MASKED = frozenset({*(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)), "Float32", "Float64", "boolean"})
REQUIRED = "Pandas data is saved and loaded by"
_INLINE_LABELS = 1000


class ColumnWriter:
    """Describes arrays and indexes one by one; `write` puts what they hold below the folder.

    `deterministic` turns False for Arrow types of which equal values may give unequal bytes.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.deterministic = True
        self._encoder = encoder
        self._pa = library("pyarrow", why=REQUIRED)
        self._pd, self._np = library("pandas"), library("numpy")
        self._files: dict[int, list[tuple[Any, arrow_file.Column]]] = {}

    def write(self, folder: str) -> None:
        for rows, columns in self._files.items():
            schema = self._pa.schema([self._pa.field(str(number), type_) for number, (type_, _) in enumerate(columns)])
            arrow_file.write(f"{folder}/rows-{rows}.arrow", schema, [column for _, column in columns], rows)

    def _place(self, rows: int, type_: Any, column: arrow_file.Column) -> list[int]:
        columns = self._files.setdefault(rows, [])
        columns.append((type_, column))
        return [rows, len(columns) - 1]

    def array(self, values: Any) -> dict[str, Any]:
        """`values`: a numpy array with one dimension, or a pandas extension array."""
        dtype = values.dtype
        if isinstance(values, self._np.ndarray):
            return self._objects(values) if dtype.kind == "O" else self._numpy(values)
        if isinstance(dtype, self._np.dtype):  # dates and durations in a pandas array of their own
            return self._numpy(values.to_numpy())
        kind = type(dtype).__name__
        if str(dtype) in MASKED:
            return {"kind": "masked", "dtype": str(dtype), "at": self._arrow(values.__arrow_array__())}
        if kind not in _WRITE:
            raise MaterializerError(
                f"Values of the pandas type {dtype} ({kind}) have no form in a file. Convert them, for instance with "
                ".astype(object)."
            )
        described: dict[str, Any] = _WRITE[kind](self, values)
        return described

    def _numpy(self, values: Any) -> dict[str, Any]:
        np, pa, dtype = self._np, self._pa, values.dtype
        if dtype.kind == "b":
            type_, column = pa.bool_(), lambda start, stop: pa.array(values[start:stop])
        else:
            native = dtype.isnative and (dtype.kind in "iu" or dtype.str[1:] in ("f2", "f4", "f8") or _is_time(np, dtype))
            type_ = pa.from_numpy_dtype(dtype) if native else pa.binary(dtype.itemsize)

            def column(start: int, stop: int) -> Any:
                part = np.ascontiguousarray(values[start:stop])
                missing = np.isnat(part) if dtype.kind in "mM" and native else None
                valid = None if missing is None or not missing.any() else pa.py_buffer(np.packbits(~missing, bitorder="little"))
                return pa.Array.from_buffers(type_, len(part), [valid, pa.py_buffer(part.view("u1"))])

        return {"kind": "numpy", "dtype": dtype.str, "at": self._place(len(values), type_, column)}

    def _objects(self, values: Any) -> dict[str, Any]:
        missing = _missing(set(map(type, values)), values)
        if missing is None:
            return {"kind": "objects", "v": self._encoder.encode(values.tolist())}
        text = self._pa.large_string()
        column = partial(_text, self._pa, text, values)
        return {"kind": "text", "missing": missing, "at": self._place(len(values), text, column)}

    def _arrow(self, values: Any) -> list[int]:
        self.deterministic &= arrow_file.settles(values.type)
        return self._place(len(values), values.type, lambda start, stop: arrow_file.settled(values[start:stop]))

    def category(self, values: Any) -> dict[str, Any]:
        categories = self.index(values.categories)
        return {"kind": "category", "codes": self.array(values.codes), "categories": categories, "ordered": bool(values.ordered)}

    def interval(self, values: Any) -> dict[str, Any]:
        parts = {side: self.array(values_of(getattr(values, side))) for side in ("left", "right")}
        return {"kind": "interval", "closed": values.closed, **parts}

    def period(self, values: Any) -> dict[str, Any]:
        return {"kind": "period", "dtype": str(values.dtype), "ordinals": self.array(values.asi8)}

    def zoned(self, values: Any) -> dict[str, Any]:
        zone = self._encoder.encode(values.dtype.tz)
        return {"kind": "zoned", "zone": zone, "utc": self.array(values.tz_convert(None).to_numpy())}

    def string(self, values: Any) -> dict[str, Any]:
        column = values.__arrow_array__()
        return {"kind": "string", **_string_dtype(self._pd, values.dtype), "at": self._arrow(column)}

    def arrow(self, values: Any) -> dict[str, Any]:
        return {"kind": "arrow", "at": self._arrow(values.__arrow_array__())}

    def sparse(self, values: Any) -> dict[str, Any]:
        found = {"kind": "sparse", "rows": len(values), "dtype": values.dtype.subtype.str, "index": values.kind}
        found["fill"] = self._encoder.encode(values.fill_value)
        found["values"], found["indices"] = self.array(values.sp_values), self.array(values.sp_index.indices)
        return found

    def wrapped(self, values: Any) -> dict[str, Any]:
        return {"kind": "wrapped", "of": self.array(values.to_numpy())}

    def index(self, index: Any) -> dict[str, Any]:
        pd, encode = self._pd, self._encoder.encode
        if type(index) is pd.RangeIndex:
            return {"kind": "range", "v": [index.start, index.stop, index.step], "name": encode(index.name)}
        if type(index) is pd.MultiIndex:
            levels = [self.index(level) for level in index.levels]
            codes = [self.array(self._np.asarray(codes)) for codes in index.codes]
            return {"kind": "levels", "levels": levels, "codes": codes, "names": [encode(name) for name in index.names]}
        labels = _labels(pd, index)
        if labels is not None:
            return {"kind": "labels", **labels, "name": encode(index.name)}
        found = {"kind": "index", "of": self.array(values_of(index)), "name": encode(index.name)}
        if getattr(index, "freq", None) is not None and type(index) is not pd.PeriodIndex:
            found["freq"] = self._frequency(index.freq)
        return found

    def _frequency(self, freq: Any) -> Any:
        try:
            same = library("pandas.tseries.frequencies").to_offset(freq.freqstr) == freq
        except ValueError:
            same = False
        return freq.freqstr if same else self._encoder.encode(freq)


_WRITE: Mapping[str, Any] = {
    "CategoricalDtype": ColumnWriter.category,
    "IntervalDtype": ColumnWriter.interval,
    "PeriodDtype": ColumnWriter.period,
    "DatetimeTZDtype": ColumnWriter.zoned,
    "StringDtype": ColumnWriter.string,
    "ArrowDtype": ColumnWriter.arrow,
    "SparseDtype": ColumnWriter.sparse,
    "NumpyEADtype": ColumnWriter.wrapped,
    "PandasDtype": ColumnWriter.wrapped,  # its name before pandas 2.1
}


def values_of(holder: Any) -> Any:
    """The numpy array or the extension array of a Series or an Index, without a copy."""
    return holder.to_numpy() if isinstance(holder.dtype, library("numpy").dtype) else holder.array


def _text(pa: Any, type_: Any, values: Any, start: int, stop: int) -> Any:
    return pa.array(values[start:stop], type_, from_pandas=True)


def _is_time(np: Any, dtype: Any) -> bool:
    return dtype.kind in "mM" and np.datetime_data(dtype) in (("s", 1), ("ms", 1), ("us", 1), ("ns", 1))


def _missing(classes: set[type], values: Any) -> str | None:
    """What stands for missing text in an object column of text, or None where the column is not of text alone."""
    if str not in classes or not classes <= {str, type(None), float}:
        return None
    if float not in classes:
        return "None"
    only_nan = type(None) not in classes and all(value != value for value in values if type(value) is float)
    return "nan" if only_nan else None


def _string_dtype(pd: Any, dtype: Any) -> dict[str, Any]:
    return {"storage": dtype.storage, "na": "NA" if getattr(dtype, "na_value", pd.NA) is pd.NA else "nan"}


def _labels(pd: Any, index: Any) -> dict[str, Any] | None:
    """A short index of strings or integers, to be written where it is read first."""
    if type(index) is not pd.Index or len(index) > _INLINE_LABELS:
        return None
    values = index.tolist()
    classes = set(map(type, values))
    if index.dtype == "int64":
        return {"dtype": "int64", "v": values}
    if not classes <= {str}:
        return None
    if isinstance(index.dtype, pd.StringDtype):
        return {"dtype": _string_dtype(pd, index.dtype), "v": values}
    return {"dtype": "object", "v": values} if index.dtype == object else None
