from __future__ import annotations

from bakery.recipes import rounding

TAX = 1.07


def priced(net: float) -> float:
    return rounding.to_cents(net * TAX)
