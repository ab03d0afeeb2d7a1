"""How steps hang together."""

from __future__ import annotations

from typing import Annotated

from dovetail import pipeline, step, when


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


@pipeline
def one_after_another() -> None:
    """The second takes nothing from the first, and waits for it all the same."""
    first = source.with_options(id="first")(1)
    source.with_options(id="second", after=first)(2)


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@pipeline
def mapped(count: int = 3) -> None:
    total(scaled.map(numbers(count), by=3))


@pipeline
def mapped_twice(count: int = 3) -> None:
    once = scaled.with_options(id="once").map(numbers(count))
    twice = scaled.with_options(id="twice").map(once, by=5)
    total(twice)


@pipeline
def branching(threshold: int) -> None:
    value = source(5)
    with when(value > threshold):
        scaled.with_options(id="above")(value)
    with when(value <= threshold):
        below = scaled.with_options(id="below")(value)
        scaled.with_options(id="further_below")(below)


@step
def is_even(value: int) -> bool:
    return value % 2 == 0


@pipeline
def nested(value: int) -> None:
    given = source(value)
    even = is_even(given)
    with when(given > 2):
        large = scaled.with_options(id="large")(given)
        with when(even & (large < 100)):
            scaled.with_options(id="large_and_even")(large)
        with when(~even):
            scaled.with_options(id="large_and_odd")(large, by=10)
