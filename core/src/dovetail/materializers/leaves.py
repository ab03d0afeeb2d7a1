"""Single values that JSON lacks and the standard library has, as JSON.

A writer is given `encode` for the parts of its value, a reader `decode`.
"""

from __future__ import annotations

import base64
import datetime as dt
import pathlib
from collections.abc import Callable
from typing import Any, TypeAlias

Convert: TypeAlias = Callable[[Any], Any]


def _write_time(value: Any, encode: Convert) -> Any:
    plain = value.replace(tzinfo=None, fold=0).isoformat()
    return plain if value.tzinfo is None and not value.fold else [plain, value.fold, encode(value.tzinfo)]


def _read_time(cls: Any) -> Callable[[Any, Convert], Any]:
    def read(node: Any, decode: Convert) -> Any:
        if isinstance(node, str):
            return cls.fromisoformat(node)
        plain, fold, zone = node
        return cls.fromisoformat(plain).replace(fold=fold, tzinfo=decode(zone))

    return read


def _write_offset(value: Any, encode: Convert) -> Any:
    offset, *name = value.__getinitargs__()
    return [offset.days, offset.seconds, offset.microseconds, *name]


def _read_offset(node: Any, decode: Convert) -> Any:
    days, seconds, microseconds, *name = node
    return dt.timezone(dt.timedelta(days, seconds, microseconds), *name)


def _base64(value: Any, encode: Convert) -> str:
    return base64.b64encode(value).decode("ascii")


WRITERS: dict[type, tuple[str, Callable[[Any, Convert], Any]]] = {
    bytes: ("bytes", _base64),
    bytearray: ("bytearray", _base64),
    complex: ("complex", lambda v, encode: [repr(v.real), repr(v.imag)]),
    range: ("range", lambda v, encode: [encode(v.start), encode(v.stop), encode(v.step)]),
    slice: ("slice", lambda v, encode: [encode(v.start), encode(v.stop), encode(v.step)]),
    type(...): ("ellipsis", lambda v, encode: None),
    dt.date: ("date", lambda v, encode: v.isoformat()),
    dt.datetime: ("datetime", _write_time),
    dt.time: ("time", _write_time),
    dt.timedelta: ("timedelta", lambda v, encode: [v.days, v.seconds, v.microseconds]),
    dt.timezone: ("timezone", _write_offset),
    pathlib.PurePosixPath: ("purepath", lambda v, encode: ["posix", str(v)]),
    pathlib.PureWindowsPath: ("purepath", lambda v, encode: ["windows", str(v)]),
}

READERS: dict[str, Callable[[Any, Convert], Any]] = {
    "float": lambda node, decode: float(node),
    "int": lambda node, decode: int(node, 16),
    "bytes": lambda node, decode: base64.b64decode(node, validate=True),
    "bytearray": lambda node, decode: bytearray(base64.b64decode(node, validate=True)),
    "complex": lambda node, decode: complex(float(node[0]), float(node[1])),
    "range": lambda node, decode: range(*(decode(part) for part in node)),
    "slice": lambda node, decode: slice(*(decode(part) for part in node)),
    "ellipsis": lambda node, decode: ...,
    "date": lambda node, decode: dt.date.fromisoformat(node),
    "datetime": _read_time(dt.datetime),
    "time": _read_time(dt.time),
    "timedelta": lambda node, decode: dt.timedelta(*node),
    "timezone": _read_offset,
    "purepath": lambda node, decode: {"posix": pathlib.PurePosixPath, "windows": pathlib.PureWindowsPath}[node[0]](node[1]),
}
