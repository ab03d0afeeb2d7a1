"""How steps hang together."""

from __future__ import annotations

from typing import Annotated

from dovetail import pipeline, step


@step
def source(value: int) -> int:
    return value


@step
def scaled(value: int, by: int = 2) -> int:
    return value * by


@step
def total(values: list[int]) -> int:
    return sum(values)


@step
def bounds(value: int) -> tuple[Annotated[int, "low"], Annotated[int, "high"]]:
    return value - 1, value + 1


@pipeline
def fan(width: int = 6) -> None:
    value = source(3)
    total([scaled(value, by=number) for number in range(width)])


@pipeline
def chain(length: int = 5) -> None:
    value = source(1)
    for number in range(length):
        value = scaled.with_options(id=f"link_{number}")(value)


@pipeline
def diamond() -> None:
    low, high = bounds(source(10))
    total([scaled.with_options(id="left")(low), scaled.with_options(id="right")(high, by=3)])
