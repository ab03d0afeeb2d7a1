"""Checking a configuration by pydantic: when it is registered, applied or checked, and for settings of a step."""

from __future__ import annotations

import dataclasses
import functools
import operator
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail.components.component import Component, Secret
from dovetail.errors import ConfigurationError
from dovetail.stack.fields import IGNORED, field_types, fields_of, key_problems, mentions, required_fields
from dovetail.stack.references import has_reference
from dovetail.values.encoding import Json

if typing.TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclasses.dataclass(frozen=True, slots=True)
class Validated:
    """`configuration`: JSON, types coerced, references as they were. `problems`: sentences, without values of secret fields."""

    configuration: dict[str, Json]
    problems: tuple[str, ...]


def validate(cls: type[Component], configuration: Mapping[str, Any], root: Path | None = None) -> Validated:
    """Check every field. `root`: make paths absolute from there, where the configuration is kept outside a project."""
    hints = field_types(cls)
    problems = key_problems(cls, configuration)
    kept: dict[str, Json] = {}
    for key, value in configuration.items():
        if key not in hints:
            continue
        try:
            kept[key] = _kept(hints[key], key, value, root)
        except ConfigurationError as error:
            problems.append(str(error))
    return Validated(kept, tuple(problems))


def _kept(hint: Any, key: str, value: Any, root: Path | None) -> Json:
    if has_reference(value):
        return typing.cast(Json, value)
    checked = validated_value(hint, key, value)
    if root is not None and isinstance(checked, Path):
        checked = root / checked.expanduser()
    return typing.cast(Json, _adapter(hint).dump_python(checked, mode="json"))


def validated_value(hint: Any, key: str, value: Any) -> Any:
    """The value as the type wants it. Raises ConfigurationError, which never holds the value of a secret field."""
    from pydantic import ValidationError

    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, (key, *first["loc"])))
        seen = "" if mentions(hint, Secret) or (isinstance(value, str) and not _short(value)) else f", not {value!r}"
        raise ConfigurationError(f"its field '{place}' is wrong: {first['msg'][:1].lower()}{first['msg'][1:]}{seen}.") from None


def _short(value: str) -> bool:
    return len(value) <= 60


@functools.lru_cache(maxsize=512)
def _adapter_of(hint: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(_for_pydantic(hint))


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return _adapter_of(hint)
    except TypeError:  # a hint that cannot be hashed, such as a Literal of lists
        return _adapter_of.__wrapped__(hint)


def _for_pydantic(hint: Any) -> Any:
    """The type with each Secret in it as a text that becomes one."""
    if hint is Secret:
        from pydantic import AfterValidator

        return typing.Annotated[str, AfterValidator(Secret)]
    args = typing.get_args(hint)
    if not args or not mentions(hint, Secret):
        return hint
    parts = tuple(_for_pydantic(part) for part in args)
    origin: Any = typing.get_origin(hint)
    return functools.reduce(operator.or_, parts) if origin in _UNIONS else origin[parts]


_UNIONS = (typing.Union, type(int | str))


def schema(cls: type[Component]) -> dict[str, Any]:
    """The configuration as JSON schema, with help texts and defaults; secret fields are marked `writeOnly`."""
    properties = {field.name: _property(cls, field) for field in fields_of(cls)}
    return {
        "title": cls.__name__,
        "type": "object",
        "properties": properties,
        "required": sorted(required_fields(cls)),
        "patternProperties": {f"^{IGNORED}": {}},
        "additionalProperties": False,
    }


def _property(cls: type[Component], field: dataclasses.Field[Any]) -> dict[str, Any]:
    hint = field_types(cls)[field.name]
    described = dict(_adapter(hint).json_schema())
    if field.metadata.get("help"):
        described["description"] = field.metadata["help"]
    if mentions(hint, Secret):
        described.update(format="password", writeOnly=True)
    elif field.default is not dataclasses.MISSING and field.default is not None:
        described["default"] = _adapter(hint).dump_python(field.default, mode="json")
    return described
