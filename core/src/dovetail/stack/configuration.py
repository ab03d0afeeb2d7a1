"""A component's fields on the way to its constructor, without pydantic wherever a field's type is a simple one."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dovetail.components.component import Component, Secret
from dovetail.errors import ConfigurationError
from dovetail.stack.fields import field_types, fields_of, key_problems

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LISTS: dict[Any, Any] = {list: list, tuple: tuple, set: set, frozenset: frozenset, Sequence: list}


class NotSimple(Exception):
    """Neither the type nor the value is one that the simple rules know."""


def constructor_arguments(cls: type[Component], configuration: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Keyword arguments of the fields' types. `configuration` is resolved; relative paths start at `root`.

    Raises ConfigurationError naming the field; the message never holds a value, which may have been a secret.
    """
    problems = key_problems(cls, configuration)
    if problems:
        raise ConfigurationError(" ".join(problems))
    hints = field_types(cls)
    given = {key: _argument(hints[key], key, value, root) for key, value in configuration.items() if key in hints}
    paths = {field.name: anchored(field.default, root) for field in fields_of(cls) if isinstance(field.default, Path)}
    return {**paths, **given}


def _argument(hint: Any, key: str, value: Any, root: Path) -> Any:
    try:
        return converted(hint, value, root)
    except (NotSimple, ValueError, TypeError):
        pass  # outside the simple rules, or wrong: pydantic knows which, and says it better
    from dovetail.stack.validation import validated_value

    return anchored(validated_value(hint, key, value), root)


def anchored(value: Any, root: Path) -> Any:
    return root / value.expanduser() if isinstance(value, Path) else value


def converted(hint: Any, value: Any, root: Path) -> Any:
    """The value as `hint` wants it, or NotSimple, ValueError or TypeError."""
    if hint is Any:
        return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None and isinstance(hint, type):  # in Python 3.10 `list[int]` calls itself a type
        return _plain(hint, value, root)
    if origin is typing.Annotated:
        raise NotSimple
    if origin in (typing.Union, types.UnionType):
        return _one_of(args, value, root)
    if origin is typing.Literal and value in args:
        return value
    if origin in _LISTS and isinstance(value, (list, tuple)) and (origin is not tuple or args[1:] == (...,)):
        return _LISTS[origin](converted(args[0], item, root) for item in value)
    if isinstance(value, Mapping) and isinstance(origin, type) and issubclass(origin, Mapping) and args[0] is str:
        return {key: converted(args[1], item, root) for key, item in value.items()}
    raise NotSimple


def _plain(hint: type, value: Any, root: Path) -> Any:
    if hint is bool and isinstance(value, str):
        return WORDS[value.strip().casefold()] if value.strip().casefold() in WORDS else _refuse()
    if isinstance(value, bool):
        return value if hint is bool else _refuse()
    if hint in (int, float) and isinstance(value, (str, int, float)):
        return hint(value) if not (hint is int and isinstance(value, float)) else _refuse()
    if hint is str and isinstance(value, str):
        return value
    if hint is Secret and isinstance(value, str):
        return Secret(value)
    if hint is Path and isinstance(value, (str, Path)):
        return root / Path(value).expanduser()
    if issubclass(hint, enum.Enum):
        return hint(value)
    if hint in (dict, list) and isinstance(value, hint):
        return value
    return _refuse()


def _one_of(options: Sequence[Any], value: Any, root: Path) -> Any:
    if value is None:
        return None if types.NoneType in options else _refuse()
    real = [option for option in options if option is not types.NoneType]
    return converted(real[0], value, root) if len(real) == 1 else _refuse()


def _refuse() -> Any:
    raise NotSimple
