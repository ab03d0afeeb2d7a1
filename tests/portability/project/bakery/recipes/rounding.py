from __future__ import annotations


def to_cents(amount: float) -> float:
    return round(amount, 2)
