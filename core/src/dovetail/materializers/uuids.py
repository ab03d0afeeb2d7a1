"""UUIDs inside JSON."""

from __future__ import annotations

from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.leaves import Convert
from dovetail.materializers.library import library


def write(value: Any, encode: Convert) -> Any:
    if type(value) is not library("uuid").UUID:
        raise MaterializerError(f"A {type(value).__qualname__} would come back as its base class UUID. Convert it to a UUID.")
    return str(value)


def read(node: Any, decode: Convert) -> Any:
    return library("uuid").UUID(node)
