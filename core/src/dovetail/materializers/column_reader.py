"""Pandas arrays and indexes, from what `ColumnWriter` left of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import arrow_file
from dovetail.materializers.column_writer import MASKED, REQUIRED
from dovetail.materializers.library import library
from dovetail.materializers.structure import Decoder

_WORTH_THREADS = 1 << 25  # bytes; half of reading is the kernel's clearing of fresh memory, which threads share
_THREADS = 4


class ColumnReader:
    """Makes arrays and indexes from their descriptions; each numpy array lies in memory of its own."""

    def __init__(self, folder: str, decoder: Decoder, *, trusted: bool) -> None:
        self._folder, self._decoder, self._trusted = folder, decoder, trusted
        self._pa = library("pyarrow", why=REQUIRED)
        self._pd, self._np = library("pandas"), library("numpy")
        self._files: dict[int, arrow_file.MappedFile] = {}

    def array(self, spec: Any) -> Any:
        if spec["kind"] not in _READ:
            raise MaterializerError(
                f"{self._folder} holds a column of kind {str(spec['kind'])[:60]!r}, which this version does not know."
            )
        return _READ[spec["kind"]](self, spec)

    def _file(self, rows: Any) -> arrow_file.MappedFile:
        if type(rows) is not int or rows < 0:
            raise MaterializerError(f"{self._folder} names {str(rows)[:60]!r} as a number of rows, which it cannot be.")
        if rows not in self._files:
            self._files[rows] = arrow_file.MappedFile(f"{self._folder}/rows-{rows}.arrow", trusted=self._trusted)
        return self._files[rows]

    def column(self, spec: Any) -> Any:
        rows, number = spec["at"]
        return self._file(rows).table.column(number)

    def numpy(self, spec: Any) -> Any:
        dtype = self._dtype(spec)
        if dtype.kind == "b":
            return self._np.array(self.column(spec).to_numpy(), dtype=bool)
        out = self._np.empty(spec["at"][0], dtype)
        self.copy_into(out, spec)
        return out

    def copy_into(self, out: Any, spec: Any) -> None:
        rows, number = spec["at"]
        self._file(rows).copy_into(out, number)

    def _dtype(self, spec: Any) -> Any:
        dtype = self._np.dtype(spec["dtype"])
        if dtype.hasobject:
            raise MaterializerError(
                f"{self._folder} holds a column of Python objects, which no file can hold. Run `dovetail store verify`."
            )
        return dtype

    def arrays(self, specs: list[Any]) -> list[Any]:
        """One array for each description; large numpy columns are read by several threads."""
        made, numbers = [None] * len(specs), []
        for number, spec in enumerate(specs):
            if spec["kind"] == "numpy" and self._dtype(spec).kind != "b":
                made[number] = self._np.empty(spec["at"][0], self._dtype(spec))
                numbers.append(number)
            else:
                made[number] = self.array(spec)
        self._fill([made[number] for number in numbers], [specs[number] for number in numbers])
        return made

    def uniform(self, specs: list[Any]) -> Any:
        """All columns as the rows of one array where they are numpy columns of one type; else None."""
        kinds = {(spec["kind"], spec.get("dtype")) for spec in specs}
        if len(specs) < 2 or len(kinds) != 1 or specs[0]["kind"] != "numpy" or self._dtype(specs[0]).kind not in "iuf":
            return None
        block = self._np.empty((len(specs), specs[0]["at"][0]), self._dtype(specs[0]))
        self._fill(list(block), specs)
        return block

    def _fill(self, outs: list[Any], specs: list[Any]) -> None:
        if sum(out.nbytes for out in outs) < _WORTH_THREADS:
            for out, spec in zip(outs, specs, strict=True):
                self.copy_into(out, spec)
            return
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            for filled in [pool.submit(self.copy_into, out, spec) for out, spec in zip(outs, specs, strict=True)]:
                filled.result()

    def objects(self, spec: Any) -> Any:
        return self._filled(self._decoder.decode(spec["v"]))

    def _filled(self, values: list[Any]) -> Any:
        out = self._np.empty(len(values), dtype=object)
        for number, value in enumerate(values):  # numpy would make a second dimension of lists
            out[number] = value
        return out

    def text(self, spec: Any) -> Any:
        column = self.column(spec)
        if not self._pa.types.is_large_string(column.type):
            raise MaterializerError(f"{self._folder} holds {column.type} where text belongs. Run `dovetail store verify`.")
        out = self._np.require(column.to_numpy(), dtype=object, requirements="W")
        if spec["missing"] == "nan" and column.null_count:
            out[column.is_null().to_numpy()] = self._np.nan
        return out

    def masked(self, spec: Any) -> Any:
        if spec["dtype"] not in MASKED:
            raise MaterializerError(
                f"{self._folder} names {str(spec['dtype'])[:60]!r} as a nullable type, which pandas does not have."
            )
        return self._pd.api.types.pandas_dtype(spec["dtype"]).__from_arrow__(self.column(spec))

    def string(self, spec: Any) -> Any:
        return self._string_dtype(spec).__from_arrow__(self.column(spec))

    def _string_dtype(self, spec: Any) -> Any:
        if spec["na"] == "NA" or spec["storage"] == "pyarrow_numpy":
            return self._pd.StringDtype(spec["storage"])
        return self._pd.StringDtype(spec["storage"], na_value=self._np.nan)

    def arrow(self, spec: Any) -> Any:
        column = self.column(spec)
        return self._pd.ArrowDtype(column.type).__from_arrow__(column)

    def category(self, spec: Any) -> Any:
        dtype = self._pd.CategoricalDtype(self.index(spec["categories"]), ordered=spec["ordered"])
        return self._pd.Categorical.from_codes(self.array(spec["codes"]), dtype=dtype)

    def interval(self, spec: Any) -> Any:
        left, right = self.array(spec["left"]), self.array(spec["right"])
        return self._pd.arrays.IntervalArray.from_arrays(left, right, closed=spec["closed"])

    def period(self, spec: Any) -> Any:
        return self._pd.arrays.PeriodArray(self.array(spec["ordinals"]), dtype=self._pd.PeriodDtype(spec["dtype"]))

    def zoned(self, spec: Any) -> Any:
        utc = self._pd.DatetimeIndex(self.array(spec["utc"]), copy=False)
        return utc.tz_localize("UTC").tz_convert(self._decoder.decode(spec["zone"])).array

    def sparse(self, spec: Any) -> Any:
        fill = self._decoder.decode(spec["fill"])
        dense = self._np.full(spec["rows"], fill, dtype=self._dtype(spec))
        dense[self.array(spec["indices"])] = self.array(spec["values"])
        return self._pd.arrays.SparseArray(dense, fill_value=fill, kind=spec["index"])

    def wrapped(self, spec: Any) -> Any:
        arrays = self._pd.arrays
        name = "NumpyExtensionArray" if hasattr(arrays, "NumpyExtensionArray") else "PandasArray"  # before pandas 2.1
        return getattr(arrays, name)(self.array(spec["of"]))

    def index(self, spec: Any) -> Any:
        pd, decode = self._pd, self._decoder.decode
        if spec["kind"] == "range":
            start, stop, step = spec["v"]
            return pd.RangeIndex(start, stop, step, name=decode(spec["name"]))
        if spec["kind"] == "levels":
            levels = [self.index(level) for level in spec["levels"]]
            codes = [self.array(codes) for codes in spec["codes"]]
            return pd.MultiIndex(levels=levels, codes=codes, names=[decode(name) for name in spec["names"]])
        if spec["kind"] == "labels":
            dtype = self._string_dtype(spec["dtype"]) if isinstance(spec["dtype"], dict) else spec["dtype"]
            return pd.Index(spec["v"], dtype=dtype, name=decode(spec["name"]))
        values = self.array(spec["of"])
        index = pd.Index(values, dtype=values.dtype, name=decode(spec["name"]), copy=False)
        if "freq" in spec:
            index.freq = decode(spec["freq"])
        return index


_READ: Mapping[str, Any] = {
    name: getattr(ColumnReader, name)
    for name in [
        "numpy",
        "objects",
        "text",
        "masked",
        "string",
        "arrow",
        "category",
        "interval",
        "period",
        "zoned",
        "sparse",
        "wrapped",
    ]
}
