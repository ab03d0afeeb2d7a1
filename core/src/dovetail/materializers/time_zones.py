"""Time zones inside JSON: `zoneinfo` and `pytz`, by their keys."""

from __future__ import annotations

from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.leaves import Convert
from dovetail.materializers.library import library


def write(value: Any, encode: Convert) -> Any:
    cls = type(value)
    if cls.__module__ == "zoneinfo" and cls.__qualname__ == "ZoneInfo" and value.key is not None:
        return ["zoneinfo", value.key]
    if cls.__module__.partition(".")[0] == "pytz":
        _, arguments = value.__reduce__()
        return ["pytz", *([value._minutes] if hasattr(value, "_minutes") else arguments or ["UTC"])]
    raise MaterializerError(
        f"A time zone of type {cls.__module__}.{cls.__qualname__} without a key cannot be named in a file. "
        f'Use zoneinfo.ZoneInfo("Area/City") or datetime.timezone.'
    )


def read(node: Any, decode: Convert) -> Any:
    kind, *arguments = node
    if kind == "zoneinfo":
        return library("zoneinfo").ZoneInfo(*arguments)
    pytz = library("pytz")
    if isinstance(arguments[0], int):
        return pytz.FixedOffset(*arguments)
    # a zone's daylight saving time is an object of its own, which the offsets after the name choose
    return pytz.timezone(arguments[0]) if len(arguments) == 1 else pytz.tzinfo.unpickler(*arguments)
