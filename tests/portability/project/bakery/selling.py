"""Steps inside the package."""

from __future__ import annotations

from dovetail import step

from . import pricing


@step
def receipt(prices: dict[str, float]) -> list[str]:
    return [f"{name}: {pricing.priced(net):.2f}" for name, net in sorted(prices.items())]
