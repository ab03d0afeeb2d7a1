"""Pandas scalars inside JSON, with their unit, frequency and time zone."""

from __future__ import annotations

from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.leaves import Convert
from dovetail.materializers.library import library


def write(value: Any, encode: Convert) -> Any:
    pd = library("pandas")
    if value is pd.NaT or value is pd.NA:
        return ["NaT" if value is pd.NaT else "NA"]
    cls = type(value)
    if cls is pd.Timestamp:
        return ["Timestamp", int(value.asm8.view("i8")), value.unit, encode(value.tzinfo)]
    if cls is pd.Timedelta:
        return ["Timedelta", int(value.asm8.view("i8")), value.unit]
    if cls is pd.Period:
        return ["Period", value.ordinal, value.freqstr]
    if cls is pd.Interval:
        return ["Interval", encode(value.left), encode(value.right), value.closed]
    raise MaterializerError(f"A {cls.__qualname__} would come back as the pandas scalar that it extends. Convert it to one.")


def read(node: Any, decode: Convert) -> Any:
    pd, np = library("pandas"), library("numpy")
    kind, *parts = node
    if kind in ("NaT", "NA"):
        return pd.NaT if kind == "NaT" else pd.NA
    if kind == "Timestamp":
        moment = pd.Timestamp(np.datetime64(parts[0], parts[1]))
        return moment if parts[2] is None else moment.tz_localize("UTC").tz_convert(decode(parts[2]))
    if kind == "Timedelta":
        return pd.Timedelta(np.timedelta64(parts[0], parts[1]))
    if kind == "Period":
        return pd.Period(ordinal=parts[0], freq=parts[1])
    if kind == "Interval":
        return pd.Interval(decode(parts[0]), decode(parts[1]), closed=parts[2])
    raise MaterializerError(f"A payload holds a pandas scalar of kind {str(kind)[:60]!r}, which this version does not know.")
