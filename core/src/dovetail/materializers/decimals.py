"""Decimal numbers inside JSON."""

from __future__ import annotations

from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.leaves import Convert
from dovetail.materializers.library import library


def write(value: Any, encode: Convert) -> Any:
    if type(value) is not library("decimal").Decimal:
        raise MaterializerError(
            f"A {type(value).__qualname__} would come back as its base class Decimal. Convert it to a Decimal."
        )
    return str(value)


def read(node: Any, decode: Convert) -> Any:
    return library("decimal").Decimal(node)
