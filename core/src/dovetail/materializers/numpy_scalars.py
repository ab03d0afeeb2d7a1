"""Numpy scalars inside JSON: readable where a Python number says the same, and of the same numpy type again."""

from __future__ import annotations

import base64
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.leaves import Convert
from dovetail.materializers.library import library
from dovetail.materializers.npy import holds_objects

_WIDE = ("longdouble", "float128", "float96")
_WIDE_COMPLEX = ("clongdouble", "complex256", "complex192")


def write(value: Any, encode: Convert) -> Any:
    np = library("numpy")
    cls = type(value)
    if _scalar_type(np, cls.__name__) is not cls:
        raise MaterializerError(
            f"A {cls.__qualname__} would come back as a plain numpy scalar. Return value.item(), or an array."
        )
    return [cls.__name__, *_parts(value, value.dtype, encode)]


def _parts(value: Any, dtype: Any, encode: Convert) -> list[Any]:
    name = type(value).__name__
    if name in _WIDE:
        return [str(value)]
    if name in _WIDE_COMPLEX:
        return [str(value.real), str(value.imag)]
    if dtype.kind in "biufcSU":
        return [encode(value.item())]
    if dtype.kind in "mM":
        return [dtype.str, int(value.view("i8"))]
    if holds_objects(dtype):
        raise MaterializerError(f"A numpy scalar of type {dtype} holds Python objects. Return a tuple or a dataclass.")
    np = library("numpy")
    return [encode(np.lib.format.dtype_to_descr(dtype)), base64.b64encode(_cleaned(np, value, dtype)).decode("ascii")]


def _cleaned(np: Any, value: Any, dtype: Any) -> bytes:
    clean = np.zeros((), dtype)
    for name in dtype.names or ():
        clean[name] = value[name]
    return bytes((clean if dtype.names else value).tobytes())


def read(node: Any, decode: Convert) -> Any:
    np = library("numpy")
    name, *parts = node
    cls = _scalar_type(np, name)
    if cls is None:
        raise MaterializerError(f"A payload names {name!r} as a numpy scalar's type, which this numpy does not have.")
    if name in _WIDE_COMPLEX:
        made = np.empty((), cls)
        made.real, made.imag = np.longdouble(parts[0]), np.longdouble(parts[1])
        return made[()]
    if issubclass(cls, (np.datetime64, np.timedelta64)):
        return np.int64(parts[1]).view(parts[0])
    if issubclass(cls, np.void):
        dtype = np.lib.format.descr_to_dtype(decode(parts[0]))
        return np.frombuffer(base64.b64decode(parts[1], validate=True), dtype)[0]
    return cls(decode(parts[0]))


def _scalar_type(np: Any, name: Any) -> Any:
    """The public numpy scalar type of this name; numpy 1 calls `bool_` what numpy 2 calls `bool`."""
    for spelled in (name, f"{name}_", str(name).rstrip("_")):
        found = getattr(np, str(spelled), None)
        if isinstance(found, type) and issubclass(found, np.generic) and found is not np.object_:
            return found
    return None
