"""Numpy arrays in npy format, in which nothing is pickled."""

from __future__ import annotations

from typing import Any, BinaryIO

from dovetail.errors import MaterializerError
from dovetail.materializers.library import library

_LONGEST_HEADER = 200_000  # characters; structured types with thousands of fields need more than numpy's default


def write(file: BinaryIO, array: Any) -> None:
    """Append the array. `array` must not hold Python objects (see `holds_objects`)."""
    np = library("numpy")
    try:
        version = (3, 0) if array.dtype.names else (1, 0)  # names of fields may be long, and in any script
        np.lib.format.write_array(file, _without_gaps(np, array), version, allow_pickle=False)
    except ValueError as error:
        raise MaterializerError(
            f"An array of type {array.dtype} cannot be written as npy: {error}. Convert it with .astype()."
        ) from error


def read(file: BinaryIO) -> Any:
    """The array that starts at the file's position, in memory of its own."""
    return library("numpy").lib.format.read_array(file, allow_pickle=False, max_header_size=_LONGEST_HEADER)


def holds_objects(dtype: Any) -> bool:
    """Whether values of this numpy dtype refer to Python objects, or keep their text outside the array."""
    return bool(dtype.hasobject) or dtype.kind == "T"


def refuse_object_fields(dtype: Any) -> None:
    if dtype.names:
        raise MaterializerError(
            f"An array of type {dtype} has fields that hold Python objects. Return a frame, or one array for each field."
        )


def _without_gaps(np: Any, array: Any) -> Any:
    """The same array with zeros in the padding between its fields, so that equal arrays give equal bytes."""
    dtype = array.dtype
    if not dtype.names or sum(dtype[name].itemsize for name in dtype.names) == dtype.itemsize:
        return array
    clean = np.zeros_like(array, subok=False)
    for name in dtype.names:
        clean[name] = array[name]
    return clean
