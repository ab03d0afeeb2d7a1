"""Pandas frames, series, indexes and arrays: their index, names, types and attributes are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import json_file
from dovetail.materializers.column_reader import ColumnReader
from dovetail.materializers.column_writer import ColumnWriter, values_of
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.materializers.structure import Decoder, Encoder
from dovetail.values.encoding import Json

_SHOWN = 100  # columns in the metadata


class _PandasMaterializer(BaseMaterializer):
    """One JSON file that describes, and Arrow files that hold."""

    _file = ""

    def save(self, value: Any) -> None:
        encoder = Encoder(self.nested, self.uri)
        columns = ColumnWriter(encoder)
        document = self._describe(value, columns, encoder)
        columns.write(self.uri)
        self.deterministic = columns.deterministic
        json_file.write(f"{self.uri}/{self._file}", document)

    def load(self, data_type: Any) -> Any:
        decoder = Decoder(self.nested, self.uri)
        columns = ColumnReader(self.uri, decoder, trusted=self.nested.trusted)
        return self._make(json_file.read(f"{self.uri}/{self._file}"), columns, decoder)

    def _size(self) -> int:
        """Bytes in the files: pandas cannot say for every type what a value takes in memory."""
        return sum(entry.stat().st_size for entry in os.scandir(self.uri))

    def _describe(self, value: Any, columns: ColumnWriter, encoder: Encoder) -> dict[str, Any]:
        raise NotImplementedError

    def _make(self, document: Any, columns: ColumnReader, decoder: Decoder) -> Any:
        raise NotImplementedError


def _about(value: Any, encoder: Encoder) -> dict[str, Any]:
    return {"attrs": encoder.encode(value.attrs), "duplicates": value.flags.allows_duplicate_labels}


def _with_about(made: Any, document: Any, decoder: Decoder) -> Any:
    made.attrs = decoder.decode(document["attrs"])
    if not document["duplicates"]:
        made.flags.allows_duplicate_labels = False
    return made


class FrameMaterializer(_PandasMaterializer):
    """A loaded frame may be written to; columns of text lie in the mapped file until they are changed."""

    ASSOCIATED_TYPES = ("pandas.core.frame.DataFrame", "pandas.DataFrame")
    _file = "frame.json"

    def _describe(self, value: Any, columns: ColumnWriter, encoder: Encoder) -> dict[str, Any]:
        index, labels = columns.index(value.index), columns.index(value.columns)
        data = []
        for number, label in enumerate(value.columns):
            try:
                data.append(columns.array(values_of(value.iloc[:, number])))
            except MaterializerError as error:
                raise MaterializerError(f"Column {label!r} of the frame cannot be saved. {error}") from error
        return {"index": index, "columns": labels, "data": data, **_about(value, encoder)}

    def _make(self, document: Any, columns: ColumnReader, decoder: Decoder) -> Any:
        pd = library("pandas")
        index, labels, specs = columns.index(document["index"]), columns.index(document["columns"]), document["data"]
        block = columns.uniform(specs)
        if block is not None:
            return _with_about(pd.DataFrame(block.T, index=index, columns=labels, copy=False), document, decoder)
        data = {number: _as_it_is(pd, values, index) for number, values in enumerate(columns.arrays(specs))}
        frame = pd.DataFrame(data, index=index, copy=False)
        frame.columns = labels
        return _with_about(frame, document, decoder)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        names = [str(label)[:200] for label in value.columns[:_SHOWN]]
        types: list[Json] = [str(dtype)[:200] for dtype in value.dtypes.iloc[:_SHOWN]]
        return {
            "rows": len(value),
            "column_count": value.shape[1],
            "columns": list(names),
            "dtypes": types,
            "bytes": self._size(),
        }


def _as_it_is(pd: Any, values: Any, index: Any) -> Any:
    """Python objects stay objects: pandas would look at them and choose another type."""
    return pd.Series(values, index=index, dtype=object, copy=False) if values.dtype == object else values


class SeriesMaterializer(_PandasMaterializer):
    ASSOCIATED_TYPES = ("pandas.core.series.Series", "pandas.Series")
    _file = "series.json"

    def _describe(self, value: Any, columns: ColumnWriter, encoder: Encoder) -> dict[str, Any]:
        data = columns.array(values_of(value))
        return {"index": columns.index(value.index), "name": encoder.encode(value.name), "data": data, **_about(value, encoder)}

    def _make(self, document: Any, columns: ColumnReader, decoder: Decoder) -> Any:
        index, values = columns.index(document["index"]), columns.array(document["data"])
        name = decoder.decode(document["name"])
        made = library("pandas").Series(values, index=index, dtype=values.dtype, name=name, copy=False)
        return _with_about(made, document, decoder)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"rows": len(value), "name": str(value.name)[:200], "dtype": str(value.dtype)[:200], "bytes": self._size()}


class IndexMaterializer(_PandasMaterializer):
    """The index classes of pandas; a subclass from elsewhere is refused."""

    ASSOCIATED_TYPES = ("pandas.core.indexes.base.Index", "pandas.Index")
    _file = "index.json"

    def _describe(self, value: Any, columns: ColumnWriter, encoder: Encoder) -> dict[str, Any]:
        if type(value).__module__.partition(".")[0] != "pandas":
            raise MaterializerError(
                f"A {type(value).__qualname__} would come back as a plain pandas index. Return pandas.Index(value)."
            )
        return {"index": columns.index(value)}

    def _make(self, document: Any, columns: ColumnReader, decoder: Decoder) -> Any:
        return columns.index(document["index"])

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"rows": len(value), "kind": type(value).__name__, "names": [str(name)[:200] for name in value.names[:_SHOWN]]}


class PandasArrayMaterializer(_PandasMaterializer):
    """Categoricals, nullable arrays and the other arrays of pandas."""

    ASSOCIATED_TYPES = ("pandas.core.arrays.base.ExtensionArray", "pandas.api.extensions.ExtensionArray")
    _file = "array.json"

    def _describe(self, value: Any, columns: ColumnWriter, encoder: Encoder) -> dict[str, Any]:
        return {"array": columns.array(value)}

    def _make(self, document: Any, columns: ColumnReader, decoder: Decoder) -> Any:
        made = columns.array(document["array"])
        return library("pandas").array(made) if isinstance(made, library("numpy").ndarray) else made

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"rows": len(value), "dtype": str(value.dtype)[:200], "bytes": self._size()}
