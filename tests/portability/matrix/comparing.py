"""What differs between two accounts of the same case, as sentences that say where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.testing.equality import same
from dovetail.values.encoding import type_name

_SHOWN = 160  # characters of a value
_ABSENT = object()


def differences(reference: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Empty where they are the same in every respect; one sentence for each place where they are not."""
    return list(_differences("", reference, seen))


def _differences(place: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            yield from _differences(f"{place}, {key}" if place else str(key), one.get(key, _ABSENT), other.get(key, _ABSENT))
    elif not _is_same(one, other):
        yield f"{place}: {_shown(one)} on the reference, {_shown(other)} here"


def _is_same(one: Any, other: Any) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return False
    return same(one, other) or _is_same_of_a_project(one, other)


def _is_same_of_a_project(one: Any, other: Any) -> bool:
    """Whether they are equal objects of one class, which each copy of the project defines for itself."""
    if type(one) is type(other) or type_name(type(one)) != type_name(type(other)):
        return False
    return hasattr(one, "__dict__") and same(vars(one), vars(other))


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    said = repr(value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
