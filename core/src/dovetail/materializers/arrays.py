"""Numpy arrays as files: npy, or JSON for arrays of Python objects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dovetail.materializers import npy
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.encoding import Json

_FILE = "array.npy"
_OBJECTS = "objects"


class ArrayMaterializer(BaseMaterializer):
    """Type, shape and memory order are kept; an array that is neither in C nor in Fortran order comes back in C order.

    The elements of an object array, or of one of variable-width strings, are saved each as what it is.
    """

    ASSOCIATED_TYPES = ("numpy.ndarray",)

    def save(self, value: Any) -> None:
        if not npy.holds_objects(value.dtype):
            with open(f"{self.uri}/{_FILE}", "xb") as file:
                npy.write(file, value)
        elif value.dtype.kind == "T":
            options = {name: getattr(value.dtype, name) for name in ("na_object", "coerce") if hasattr(value.dtype, name)}
            self._save_objects(value.astype(object), options)
        else:
            self._save_objects(value, None)

    def _save_objects(self, value: Any, options: dict[str, Any] | None) -> None:
        npy.refuse_object_fields(value.dtype)
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        flat = value.ravel(order="F" if fortran else "C").tolist()
        document = {"shape": list(value.shape), "order": "F" if fortran else "C", "string": options, "items": flat}
        self.nested.save(document, f"{self.uri}/{_OBJECTS}")

    def load(self, data_type: Any) -> Any:
        if os.path.exists(f"{self.uri}/{_FILE}"):
            with open(f"{self.uri}/{_FILE}", "rb") as file:
                return npy.read(file)
        np = library("numpy")
        document = self.nested.load(f"{self.uri}/{_OBJECTS}")
        array = np.empty(len(document["items"]), dtype=object)
        for index, item in enumerate(document["items"]):
            array[index] = item
        array = array.reshape(tuple(document["shape"]), order=document["order"])
        return array if document["string"] is None else array.astype(np.dtypes.StringDType(**document["string"]))

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"shape": list(value.shape), "dtype": str(value.dtype), "bytes": int(value.nbytes)}
