"""Objects of classes that a payload may name, taken apart into their state and put together again.

Neither direction runs the class's own code: `__init__`, `__post_init__` and validators have had their say when the value
was made, and might refuse or change what they see.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError

_PYDANTIC = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
_STATIC_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: absent in built-in types such as dict, which keep content outside attributes


def kind_of(cls: type) -> str | None:
    """`enum`, `namedtuple`, `dataclass`, `pydantic`, or None."""
    if issubclass(cls, enum.Enum):
        return "enum"
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return "namedtuple"
    if hasattr(cls, "__dataclass_fields__"):
        return "dataclass" if all(base.__flags__ & _STATIC_TYPE for base in cls.__mro__[:-1]) else None
    return "pydantic" if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_construct") else None


def member(value: enum.Enum) -> str | None:
    """The name of an enum's member; None for a combination of flags that has none."""
    name = value._name_
    return name if type(value).__members__.get(name) is value else None


def tuple_items(value: Any) -> list[Any]:
    if getattr(value, "__dict__", None):
        raise MaterializerError(
            f"A named tuple of type {type(value).__qualname__} holds attributes beside its fields, which would be lost. Make it "
            "a dataclass."
        )
    return list(value)


def make_tuple(cls: Any, items: list[Any]) -> Any:
    _check("namedtuple", cls)
    if len(items) != len(cls._fields):
        raise MaterializerError(f"A payload holds {len(items)} fields for {cls.__qualname__}, which has {len(cls._fields)} now.")
    return tuple.__new__(cls, items)


def attributes(value: Any) -> dict[str, Any]:
    """A dataclass's fields in their order, then what else was set on it; neither caches nor what was never set."""
    cls = type(value)
    found = {field.name: getattr(value, field.name) for field in dataclasses.fields(cls) if _is_set(value, field.name)}
    slots = [name for base in cls.__mro__ for name in _slots(base) if name not in found and _is_set(value, name)]
    others = [name for name in getattr(value, "__dict__", ()) if name not in found and name != "__orig_class__"]
    for name in sorted({*slots, *others}):
        if not isinstance(getattr(cls, name, None), functools.cached_property):
            found[name] = getattr(value, name)
    return found


def _is_set(value: Any, name: str) -> bool:
    own = getattr(value, "__dict__", None)
    if own is not None and name in own:
        return True
    try:
        object.__getattribute__(value, name)
    except AttributeError:
        return False
    return any(name in _slots(base) for base in type(value).__mro__)


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(_mangled(cls, name) for name in names if name not in ("__dict__", "__weakref__"))


def _mangled(cls: type, name: str) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{cls.__name__.lstrip('_')}{name}" if private else name


def make_dataclass(cls: Any, state: Mapping[str, Any]) -> Any:
    _check("dataclass", cls)
    made = object.__new__(cls)
    for name, item in state.items():
        if not name.isidentifier() or (name.startswith("__") and name.endswith("__")):
            raise MaterializerError(f"A payload sets {name!r} on a {cls.__qualname__}, which is no name of a field.")
        object.__setattr__(made, name, item)
    return made


def model_state(value: Any) -> tuple[dict[str, Any], dict[str, Any] | None, list[str], dict[str, Any] | None]:
    """A pydantic model's fields, its extra values, the names of the fields that were set, and its private attributes."""
    fields = {name: item for name, item in value.__dict__.items() if name in type(value).model_fields}
    private = value.__pydantic_private__
    if private is not None:
        private = {name: item for name, item in private.items() if type(item).__name__ != "PydanticUndefinedType"}
    return fields, value.__pydantic_extra__, sorted(value.__pydantic_fields_set__), private


def make_model(cls: Any, fields: dict[str, Any], extra: Any, names: list[str], private: Any) -> Any:
    _check("pydantic", cls)
    made = cls.__new__(cls)
    for slot, item in zip(_PYDANTIC, (fields, extra, set(names), private), strict=True):
        object.__setattr__(made, slot, item)
    return made


def make_member(cls: Any, name: Any, value: Any) -> Any:
    _check("enum", cls)
    return cls(value) if name is None else cls[name]


def _check(kind: str, cls: Any) -> None:
    if kind_of(cls) != kind:
        raise MaterializerError(f"A payload says that {cls.__module__}:{cls.__qualname__} is a {kind}, which it is not here.")
