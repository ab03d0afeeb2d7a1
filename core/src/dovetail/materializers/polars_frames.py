"""Polars frames and series, in polars' own Arrow IPC."""

from __future__ import annotations

import glob
import inspect
import os
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.encoding import Json

_SHOWN = 100  # columns in the metadata
_KINDS = {"DataFrame": "frame", "LazyFrame": "lazy", "Series": "series"}


class PolarsMaterializer(BaseMaterializer):
    """The file's name says which of these the value is. A LazyFrame's result is saved, and scanned when it is loaded."""

    ASSOCIATED_TYPES = ("polars.dataframe.frame.DataFrame", "polars.lazyframe.frame.LazyFrame", "polars.series.series.Series")

    def save(self, value: Any) -> None:
        pl = library("polars")
        kind = _KINDS[type(value).__name__]
        frame = value.collect() if kind == "lazy" else value.to_frame() if kind == "series" else value
        uncertain = any(dtype.is_nested() or dtype == pl.Categorical for dtype in frame.dtypes)
        self.deterministic = hasattr(pl, "CompatLevel") and not uncertain
        try:
            settled = [_settled(pl, column) for column in frame.get_columns()]
            _write(pl, pl.DataFrame(settled) if settled else frame, f"{self.uri}/{kind}.arrow")
        except pl.exceptions.PolarsError as error:
            raise MaterializerError(
                f"Polars cannot write this value: {error}. Convert columns of Python objects to a polars type."
            ) from error

    def load(self, data_type: Any) -> Any:
        pl = library("polars")
        kind = next((each for each in _KINDS.values() if os.path.exists(f"{self.uri}/{each}.arrow")), None)
        path = f"{self.uri}/{kind}.arrow"
        try:
            if kind == "lazy":
                return _scan(pl, path)
            frame = _read(pl, path)
            return frame.to_series() if kind == "series" else frame
        except BaseException as error:
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":  # of Rust; not an Exception
                raise MaterializerError(
                    f"{path} is not what polars wrote there: {error}. Run `dovetail store verify`."
                ) from error
            raise

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        if type(value).__name__ == "LazyFrame":
            return {}
        if type(value).__name__ == "Series":
            return {"rows": len(value), "dtype": str(value.dtype)[:200], "bytes": int(value.estimated_size())}
        types = [str(dtype)[:200] for dtype in value.dtypes[:_SHOWN]]
        names = [name[:200] for name in value.columns[:_SHOWN]]
        size = int(value.estimated_size())
        return {"rows": value.height, "column_count": value.width, "columns": list(names), "dtypes": list(types), "bytes": size}


def _settled(pl: Any, column: Any) -> Any:
    """An equal column, in which neither null slots nor a bitmap without a null say how it was made."""
    if column.dtype.is_nested() or column.dtype == pl.Categorical:
        return column.rechunk()
    if not column.null_count():
        return column.gather(pl.select(pl.int_range(len(column))).to_series()).rechunk()
    missing = pl.Series(column.name, [None], dtype=column.dtype)
    valid = column.is_not_null()
    padded = pl.concat([missing, column.drop_nulls()]).rechunk()
    return padded.gather(pl.select(pl.when(valid).then(valid.cum_sum().cast(pl.Int64)).otherwise(0)).to_series()).rechunk()


def _write(pl: Any, frame: Any, path: str) -> None:
    # the layout that all readers know is also the one in which text lies in the order of the rows
    layout = {"compat_level": pl.CompatLevel.oldest()} if hasattr(pl, "CompatLevel") else {}
    frame.write_ipc(path, compression="uncompressed", **layout)


def _scan(pl: Any, path: str) -> Any:
    if "glob" in inspect.signature(pl.scan_ipc).parameters:
        return pl.scan_ipc(path, glob=False)
    return pl.scan_ipc(glob.escape(path))


def _read(pl: Any, path: str) -> Any:
    if "memory_map" not in inspect.signature(pl.read_ipc).parameters:
        return _scan(pl, path).collect()
    with open(path, "rb") as file:  # before polars 2; mapped files are not checked there
        return pl.read_ipc(file, memory_map=False)
