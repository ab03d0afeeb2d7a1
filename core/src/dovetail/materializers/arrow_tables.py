"""Pyarrow tables, record batches and arrays; loaded without a copy, over the mapped file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import arrow_file
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.encoding import Json

_SHOWN = 100  # columns in the metadata
_EXTENSION = b"ARROW:extension:name"


class ArrowMaterializer(BaseMaterializer):
    """The file's name says which of these the value is. How a table or chunked array was cut into chunks is not kept."""

    ASSOCIATED_TYPES = ("pyarrow.lib.Table", "pyarrow.lib.RecordBatch", "pyarrow.lib.ChunkedArray", "pyarrow.lib.Array")

    def save(self, value: Any) -> None:
        pa = library("pyarrow")
        if isinstance(value, pa.Table):
            value = value.unify_dictionaries()
            self._write("table", value.schema, value.columns, len(value))
        elif isinstance(value, pa.RecordBatch):
            self._write("batch", value.schema, value.columns, len(value))
        else:
            kind = "chunked" if isinstance(value, pa.ChunkedArray) else "array"
            if kind == "chunked":
                value = value.unify_dictionaries()
            self._write(kind, pa.schema([pa.field("value", value.type)]), [value], len(value))

    def _write(self, kind: str, schema: Any, columns: list[Any], rows: int) -> None:
        self.deterministic = all(arrow_file.settles(field.type) for field in schema)
        window = max(rows, 1) if kind in ("batch", "array") else arrow_file.WINDOW
        readers = [_window(column) for column in columns]
        arrow_file.write(f"{self.uri}/{kind}.arrow", schema, readers, rows, window)

    def load(self, data_type: Any) -> Any:
        kind = next((each for each in ("table", "batch", "chunked", "array") if os.path.exists(f"{self.uri}/{each}.arrow")), None)
        if kind is None:
            raise MaterializerError(f"{self.uri} holds no Arrow file. Run `dovetail store verify`.")
        table = arrow_file.MappedFile(f"{self.uri}/{kind}.arrow", trusted=self.nested.trusted).table
        _check_extensions(table.schema)
        if kind == "table":
            return table
        if kind == "batch":
            return _batch(table)
        column = table.column(0)
        if kind == "chunked":
            return column
        return column.chunk(0) if column.num_chunks else library("pyarrow").array([], column.type)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        schema = getattr(value, "schema", None)
        if schema is None:
            return {"rows": len(value), "dtype": str(value.type)[:200], "bytes": value.nbytes}
        fields = [schema.field(number) for number in range(min(len(schema), _SHOWN))]
        names, types = [field.name[:200] for field in fields], [str(field.type)[:200] for field in fields]
        return {
            "rows": value.num_rows,
            "column_count": len(schema),
            "columns": list(names),
            "dtypes": list(types),
            "bytes": value.nbytes,
        }


def _window(column: Any) -> arrow_file.Column:
    return lambda start, stop: arrow_file.settled(column.slice(start, stop - start))


def _batch(table: Any) -> Any:
    batches = table.to_batches()
    if batches:
        return batches[0]
    pa = library("pyarrow")
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)


def _check_extensions(schema: Any) -> None:
    for field in schema:
        if _EXTENSION in (field.metadata or {}):
            name = field.metadata[_EXTENSION].decode(errors="replace")[:60]
            raise MaterializerError(
                f"Column {field.name!r} is of the Arrow extension type {name!r}. Call pyarrow.register_extension_type first."
            )
