"""Fractions inside JSON."""

from __future__ import annotations

from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.leaves import Convert
from dovetail.materializers.library import library


def write(value: Any, encode: Convert) -> Any:
    if type(value) is not library("fractions").Fraction:
        raise MaterializerError(
            f"A {type(value).__qualname__} would come back as its base class Fraction. Convert it to a Fraction."
        )
    return [encode(value.numerator), encode(value.denominator)]


def read(node: Any, decode: Convert) -> Any:
    numerator, denominator = (decode(part) for part in node)
    return library("fractions").Fraction(numerator, denominator)
