"""What a component's fields are: the types, which are secret, which are required."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

from dovetail.components.component import Component, Secret
from dovetail.errors import PluginBroken, near

IGNORED = "x-"  # keys that begin so are for whoever reads the file, not for Dovetail


def fields_of(cls: Any) -> list[dataclasses.Field[Any]]:
    """The configuration fields of a component class."""
    return [field for field in dataclasses.fields(cls) if field.init]


@functools.lru_cache(maxsize=256)
def field_types(cls: type[Component]) -> dict[str, Any]:
    """The type of each configuration field, annotations in strings evaluated."""
    try:
        hints = _hints_of(cls, {field.name for field in fields_of(cls)})
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise PluginBroken(
            f"The fields of {cls.__module__}.{cls.__qualname__} cannot be read: {error}. "
            f"Import the types that its annotations name outside `if TYPE_CHECKING`."
        ) from error
    return {field.name: hints[field.name] for field in fields_of(cls)}


def _hints_of(cls: type[Component], names: set[str]) -> dict[str, Any]:
    """The evaluated annotations of these names alone: others may be `ClassVar` without more, which older Pythons refuse."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        written = {name: hint for name, hint in inspect.get_annotations(base).items() if name in names and "ClassVar" not in str(hint)}
        if written:
            holder = types.SimpleNamespace(__annotations__=written)
            hints.update(typing.get_type_hints(holder, vars(sys.modules[base.__module__]), dict(vars(base)), include_extras=True))
    return hints


@functools.lru_cache(maxsize=256)
def secret_fields(cls: type[Component]) -> frozenset[str]:
    return frozenset(name for name, hint in field_types(cls).items() if mentions(hint, Secret))


@functools.lru_cache(maxsize=256)
def required_fields(cls: type[Component]) -> frozenset[str]:
    return frozenset(field.name for field in fields_of(cls) if required(field))


def required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def mentions(hint: Any, wanted: type) -> bool:
    return hint is wanted or any(mentions(part, wanted) for part in typing.get_args(hint))


def key_problems(cls: type[Component], configuration: Mapping[str, Any]) -> list[str]:
    """Unknown keys, with the nearest known ones, and required keys that are not there."""
    known = field_types(cls)
    problems = [
        f"it has no field '{key}'. {near(str(key), known) or 'It takes no configuration.'}"
        for key in configuration
        if key not in known and not str(key).startswith(IGNORED)
    ]
    missing = sorted(required_fields(cls) - set(configuration))
    return problems + [f"its field '{key}' is required and not set." for key in missing]
