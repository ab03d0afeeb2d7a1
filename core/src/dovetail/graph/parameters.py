"""Checking a parameter's value against its annotation."""

from __future__ import annotations

import functools
import typing
from typing import Any

from dovetail.errors import ParameterError
from dovetail.graph.annotations import describe
from dovetail.values.encoding import NotEncodable, encode

_EXACT = frozenset({int, float, str, bool, type(None)})


def check_parameter(value: Any, annotation: Any, where: str, *, textual: bool = False) -> Any:
    """The value as the annotation types it (`1` becomes `1.0` for a float). Raises ParameterError, beginning with `where`.

    `textual`: the value was read from a command line or a YAML file, where text may stand for a number.
    """
    cls = value.__class__
    if annotation is cls and cls in _EXACT:
        return value
    if annotation is float and cls is int:
        return float(value)
    if annotation is not Any and not isinstance(annotation, str):
        value = _validated(value, annotation, where, textual=textual)
    try:
        encode(value)
    except NotEncodable as error:
        raise ParameterError(
            f"{where} was given a {cls.__module__}.{cls.__qualname__}, which is no parameter. "
            f"Parameters are JSON values, dates, paths, enums, dataclasses and pydantic models; wrap data as ExternalArtifact(value)."
        ) from error
    return value


def _validated(value: Any, annotation: Any, where: str, *, textual: bool) -> Any:
    from pydantic import ValidationError

    adapter = _adapter(annotation)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as strict:
        try:
            lax = adapter.validate_python(value)
        except ValidationError:
            raise ParameterError(_sentence(strict, value, annotation, where)) from None
        if not textual and not _harmless(value, lax):
            raise ParameterError(_sentence(strict, value, annotation, where)) from None
        return lax


def _harmless(given: Any, converted: Any) -> bool:
    """Whether a conversion only gives text or a container the type it was written for: a date, path, enum, tuple or model."""
    if isinstance(given, str):
        return not isinstance(converted, (int, float, bool)) or hasattr(converted, "__members__") or hasattr(type(converted), "__members__")
    return isinstance(given, (list, tuple, dict, set, frozenset)) or hasattr(type(converted), "__members__")


@functools.lru_cache(maxsize=512)
def _cached_adapter(annotation: Any) -> Any:
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None


def _adapter(annotation: Any) -> Any:
    try:
        return _cached_adapter(annotation)
    except TypeError:  # an annotation that cannot be hashed
        return _cached_adapter.__wrapped__(annotation)


def _sentence(error: Any, value: Any, annotation: Any, where: str) -> str:
    first = error.errors(include_url=False)[0]
    inside = ".".join(str(part) for part in first["loc"])
    at = f" at {inside}" if inside and typing.get_origin(annotation) is not typing.Union else ""
    stored = isinstance(getattr(value, "digest", None), str) and hasattr(value, "load")
    cure = " To hand over what is stored, give its .load(), or ExternalArtifact(it.load()) where it is large." if stored else ""
    return f"{where} is annotated {describe(annotation)} and was given {value!r:.80}{at}: {first['msg'].lower()}.{cure}"
