"""Scipy's sparse matrices and arrays: their parts as npy files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import json_file, npy
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.encoding import Json

_PARTS: Mapping[str, tuple[str, ...]] = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
    "coo": ("data",),  # and one file of coordinates for each dimension
}
_COMPRESSED = frozenset({"csr", "csc", "bsr"})
_THROUGH = {"lil": "csr", "dok": "csr"}  # formats for building, saved in one for computing


class SparseMaterializer(BaseMaterializer):
    """Format, matrix or array, element and index types are kept, and the order in which elements are stored."""

    ASSOCIATED_TYPES = ("scipy.sparse._base._spbase", "scipy.sparse._base.spmatrix")

    def save(self, value: Any) -> None:
        sparse = library("scipy.sparse", "scipy")
        name, form = type(value).__name__, value.format
        if getattr(sparse, name, None) is not type(value):
            raise MaterializerError(
                f"A {type(value).__qualname__} would come back as scipy's own {form} matrix. Convert it to one."
            )
        stored = value if form in _PARTS else value.asformat(_through(form, value))
        for part in _PARTS[stored.format]:
            self._write(part, getattr(stored, part))
        if stored.format == "coo":
            for number, coordinates in enumerate(_coordinates(stored)):
                self._write(f"coordinates-{number}", coordinates)
        document = {"class": name, "stored": stored.format, "shape": [int(size) for size in value.shape]}
        json_file.write(f"{self.uri}/sparse.json", document)

    def _write(self, part: str, array: Any) -> None:
        with open(f"{self.uri}/{part}.npy", "xb") as file:
            npy.write(file, array)

    def _read(self, part: str) -> Any:
        with open(f"{self.uri}/{part}.npy", "rb") as file:
            return npy.read(file)

    def load(self, data_type: Any) -> Any:
        sparse = library("scipy.sparse", "scipy")
        document = json_file.read(f"{self.uri}/sparse.json")
        cls, form, shape = getattr(sparse, document["class"], None), document["stored"], tuple(document["shape"])
        if not (isinstance(cls, type) and sparse.issparse(cls((1,) * len(shape))) and form in _PARTS):
            raise MaterializerError(f"{self.uri} names no sparse matrix of scipy. Run `dovetail store verify`.")
        suffix = document["class"].partition("_")[2]
        made = self._make(getattr(sparse, f"{form}_{suffix}"), form, shape)
        if not self.nested.trusted and form in _COMPRESSED and not _is_sound(made):
            raise MaterializerError(f"{self.uri} holds indices outside the matrix. Run `dovetail store verify`.")
        return made if type(made) is cls else cls(made)

    def _make(self, cls: Any, form: str, shape: tuple[int, ...]) -> Any:
        if form == "coo":
            coordinates = tuple(self._read(f"coordinates-{number}") for number in range(len(shape)))
            return cls((self._read("data"), coordinates), shape=shape)
        return cls(tuple(self._read(part) for part in _PARTS[form]), shape=shape)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {
            "shape": [int(size) for size in value.shape],
            "dtype": str(value.dtype),
            "stored": int(value.nnz),
            "format": value.format,
        }


def _is_sound(matrix: Any) -> bool:
    """Whether all indices lie inside; scipy does not look, and its compiled code follows them blindly."""
    starts, indices, width = matrix.indptr, matrix.indices, matrix.shape[0 if matrix.format == "csc" else -1]
    if matrix.format == "bsr":
        width //= matrix.blocksize[1]
    if not (
        len(starts) and starts[0] == 0 and (starts[1:] >= starts[:-1]).all() and starts[-1] <= min(len(indices), len(matrix.data))
    ):
        return False
    return not len(indices) or bool(indices.min() >= 0 and indices.max() < width)


def _through(form: str, value: Any) -> str:
    return _THROUGH[form] if len(value.shape) == 2 else "coo"


def _coordinates(value: Any) -> tuple[Any, ...]:
    return value.coords if hasattr(value, "coords") else (value.row, value.col)
