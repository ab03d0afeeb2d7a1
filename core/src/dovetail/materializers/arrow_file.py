"""Arrow IPC files, uncompressed, so that they can be mapped instead of read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.library import library

WINDOW = 1 << 20  # rows in a record batch, however the columns lay in memory
Column = Callable[[int, int], Any]  # makes the pyarrow array of the rows from start to stop


def write(path: str, schema: Any, columns: Sequence[Column], rows: int, window: int = WINDOW) -> None:
    """Make the file, `window` rows at a time, so that no more than these need be converted at once."""
    pa = library("pyarrow")
    try:
        with pa.OSFile(path, "wb") as sink, library("pyarrow.ipc").new_file(sink, schema) as writer:
            for start in range(0, rows, window):
                stop = min(start + window, rows)
                writer.write_batch(_batch(pa, schema, [column(start, stop) for column in columns], stop - start))
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise MaterializerError(
            f"Arrow cannot write these columns: {error}. Convert the column at fault to another type."
        ) from error


def _batch(pa: Any, schema: Any, arrays: list[Any], rows: int) -> Any:
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    empty = pa.StructArray.from_buffers(pa.struct([]), rows, [None])  # no columns, and rows nevertheless
    return pa.RecordBatch.from_struct_array(empty).replace_schema_metadata(schema.metadata)


def settled(array: Any) -> Any:
    """An equal array, in which null slots and bits past the end do not hold what happened to lie there."""
    pa = library("pyarrow")
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks > 1 else array.chunk(0)
    if _is_flat(pa, array.type) and not array.null_count:
        return array
    try:
        return array.take(pa.array(library("numpy").arange(len(array))))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return array


def settles(type_: Any) -> bool:
    """Whether `settled` gives equal bytes for equal arrays of this Arrow type."""
    pa = library("pyarrow")
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_dictionary(type_):
        return settles(type_.value_type)
    return bool(_is_flat(pa, type_) or pa.types.is_boolean(type_) or pa.types.is_null(type_))


def _is_flat(pa: Any, type_: Any) -> bool:
    types = pa.types
    flat = ("string", "large_string", "binary", "large_binary", "fixed_size_binary", "decimal")
    return any(getattr(types, f"is_{kind}")(type_) for kind in flat) or (
        types.is_primitive(type_) and not types.is_boolean(type_)
    )


class MappedFile:
    """An Arrow file as a table over the mapped file.

    A payload from a store that is not `trusted` is checked value by value first, because Arrow follows its offsets blindly.
    """

    def __init__(self, path: str, *, trusted: bool) -> None:
        pa = library("pyarrow")
        self._path = path
        try:
            with pa.memory_map(path, "r") as source:
                self.table = library("pyarrow.ipc").open_file(source).read_all()
                source.seek(0)
                whole = source.read_buffer()
            self.table.validate(full=not trusted)
        except (pa.ArrowException, OSError) as error:
            raise MaterializerError(
                f"{path} is not the Arrow file that was written there: {error}. Run `dovetail store verify`."
            ) from error
        self._start, self._size = whole.address, whole.size

    def copy_into(self, out: Any, index: int) -> None:
        """Fill a contiguous numpy array with a column's values, whatever the validity bitmap says.

        They are read from the file and not through the mapping, whose pages would count as memory beside the copy.
        """
        column = self.table.column(index)
        width = out.dtype.itemsize
        if column.type.bit_width != 8 * width or len(column) != len(out):
            raise MaterializerError(
                f"{self._path} holds {column.type} where values of {out.dtype} belong. Run `dovetail store verify`."
            )
        target = memoryview(out.view("u1"))
        with open(self._path, "rb", buffering=0) as file:
            for chunk in column.chunks:
                bytes_ = len(chunk) * width
                if bytes_:
                    self._copy(file, chunk.buffers()[1], chunk.offset * width, target[:bytes_])
                target = target[bytes_:]

    def _copy(self, file: Any, buffer: Any, offset: int, target: memoryview) -> None:
        start = buffer.address - self._start + offset
        if not 0 <= start <= self._size - len(target):  # a compressed file, which was unpacked elsewhere
            target[:] = memoryview(buffer)[offset : offset + len(target)].cast("B")
            return
        file.seek(start)
        while len(target):
            read = file.readinto(target)
            if not read:
                raise MaterializerError(f"{self._path} ends before its content does. Run `dovetail store verify`.")
            target = target[read:]
