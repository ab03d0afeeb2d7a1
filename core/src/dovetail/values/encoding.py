"""Plain JSON for the values that parameters, records and keys hold, with the types that JSON lacks marked.

A marked value is `{"$": tag, "v": …}`. Two values encode alike only if they are equal and of the same type: `1`, `1.0`,
`True` and `"1"` all differ, a list differs from a tuple. Sets are ordered by their members' encoding.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import importlib
import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from dovetail.digest import canonical
from dovetail.errors import MaterializerError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

SESSION = "interactive_session"  # what is typed in, as in a notebook's cells, is a module of this name elsewhere
_ATOMS = frozenset({str, int, bool, type(None)})


class NotEncodable(MaterializerError, TypeError):
    """The value is not made of JSON values, dates, paths, enums, dataclasses and pydantic models."""


def type_name(cls: type) -> str:
    """`module:qualname`, with the name of the file's module in place of `__main__`."""
    return f"{module_name(cls.__module__)}:{cls.__qualname__}"


def module_name(module: str) -> str:
    """The name under which a module can be imported elsewhere: a script's own name in place of `__main__`, `SESSION` where there is no script."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return pathlib.Path(file).stem if file and not file.startswith("<") else SESSION  # `<stdin>`, where a program is piped in


def encode(value: Any) -> Any:
    """JSON for a value; raises NotEncodable, naming the type, for anything else."""
    cls = value.__class__
    if cls in _ATOMS:
        return value
    if cls is float:
        return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
    if cls is list:
        return [encode(item) for item in value]
    if cls is dict:
        return _encode_dict(value)
    encoder = _ENCODERS.get(cls)
    if encoder is not None:
        tag, write = encoder
        return {"$": tag, "v": write(value)}
    return _encode_object(value, cls)


def _encode_dict(value: dict[Any, Any]) -> Any:
    if all(key.__class__ is str for key in value) and "$" not in value:
        return {key: encode(item) for key, item in value.items()}
    return {"$": "dict", "v": [[encode(key), encode(item)] for key, item in value.items()]}


def _encode_object(value: Any, cls: type) -> Any:
    textual = _TEXTUAL.get((cls.__module__, cls.__qualname__))
    if textual is not None:
        return {"$": textual, "v": str(value)}
    if isinstance(value, enum.Enum):
        return {"$": "enum", "t": type_name(cls), "v": value.name if value._name_ else encode(value.value)}
    if isinstance(value, pathlib.PurePath):
        return {"$": "path", "v": value.as_posix()}
    if hasattr(cls, "__pydantic_fields__"):
        return {"$": "model", "t": type_name(cls), "v": encode(_model_state(value))}
    if dataclasses.is_dataclass(cls):
        fields = [f.name for f in dataclasses.fields(cls) if hasattr(value, f.name)]
        return {"$": "dataclass", "t": type_name(cls), "v": {name: encode(getattr(value, name)) for name in fields}}
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return {"$": "namedtuple", "t": type_name(cls), "v": [encode(item) for item in value]}
    raise NotEncodable(f"A value of type {type_name(cls)} is not a JSON value, date, path, enum, dataclass or pydantic model.")


def _model_state(value: Any) -> dict[str, Any]:
    """What a pydantic model holds, field by field: dumping and validating again could change it, or leave parts out."""
    fields = {name: value.__dict__[name] for name in type(value).__pydantic_fields__ if name in value.__dict__}
    return {"fields": fields, "set": sorted(value.__pydantic_fields_set__), "extra": value.__pydantic_extra__}


def _model_from(cls: Any, state: dict[str, Any]) -> Any:
    made = cls.__new__(cls)
    object.__setattr__(made, "__dict__", dict(state["fields"]))
    object.__setattr__(made, "__pydantic_fields_set__", set(state["set"]))
    object.__setattr__(made, "__pydantic_extra__", state["extra"])
    private = {name: attribute.get_default() for name, attribute in cls.__private_attributes__.items()}
    object.__setattr__(made, "__pydantic_private__", private or None)
    return made


def _dataclass_from(cls: Any, state: dict[str, Any]) -> Any:
    made = cls.__new__(cls)
    for name, value in state.items():
        object.__setattr__(made, name, value)
    return made


def _encode_set(value: Any) -> list[Any]:
    return sorted((encode(item) for item in value), key=canonical)


_ENCODERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    tuple: ("tuple", lambda v: [encode(item) for item in v]),
    set: ("set", _encode_set),
    frozenset: ("frozenset", _encode_set),
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
    dt.datetime: ("datetime", lambda v: v.isoformat()),
    dt.date: ("date", lambda v: v.isoformat()),
    dt.time: ("time", lambda v: v.isoformat()),
    dt.timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    complex: ("complex", lambda v: [encode(v.real), encode(v.imag)]),
}

# By name: the modules of these need not be loaded before there is such a value.
_TEXTUAL = {("decimal", "Decimal"): "decimal", ("uuid", "UUID"): "uuid"}

_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "tuple": lambda v: tuple(decode(item) for item in v),
    "set": lambda v: {decode(item) for item in v},
    "frozenset": lambda v: frozenset(decode(item) for item in v),
    "bytes": base64.b64decode,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda v: dt.timedelta(*v),
    "decimal": lambda v: importlib.import_module("decimal").Decimal(v),
    "uuid": lambda v: importlib.import_module("uuid").UUID(v),
    "complex": lambda v: complex(*decode(v)),
    "path": pathlib.Path,
    "dict": lambda v: {decode(key): decode(item) for key, item in v},
}


def decode(value: Any, resolve: Callable[[str], Any] | None = None) -> Any:
    """The value that `encode` was given. `resolve` turns a recorded type's name into the type, or refuses it.

    Without `resolve`, enums, dataclasses, named tuples and models come back as their plain parts.
    """
    if isinstance(value, list):
        return [decode(item, resolve) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get("$")
    if tag is None:
        return {key: decode(item, resolve) for key, item in value.items()}
    if "t" in value:
        return _decode_typed(tag, value, resolve)
    if tag not in _DECODERS:
        raise MaterializerError(f"A record holds a value marked {tag!r}, which this version does not know.")
    if resolve is not None and tag in ("tuple", "set", "frozenset", "dict"):
        return _decode_container(tag, value["v"], resolve)
    return _DECODERS[tag](value["v"])


def _decode_container(tag: str, items: list[Any], resolve: Callable[[str], Any]) -> Any:
    if tag == "dict":
        return {decode(key, resolve): decode(item, resolve) for key, item in items}
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[tag](decode(item, resolve) for item in items)


def _decode_typed(tag: str, value: dict[str, Any], resolve: Callable[[str], Any] | None) -> Any:
    inner = decode(value["v"], resolve)
    if resolve is None:
        return inner
    cls = resolve(value["t"])
    if tag == "enum":
        return cls[inner] if isinstance(value["v"], str) and inner in cls.__members__ else cls(inner)
    if tag == "model":
        return _model_from(cls, inner)
    return _dataclass_from(cls, inner) if tag == "dataclass" else cls(*inner)
