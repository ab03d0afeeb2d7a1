"""Pipelines by which stores are tried, as a user would write them; copied into a project of each test's own."""

from __future__ import annotations

import time

from dovetail import log_metrics, pipeline, step


@step
def source(size: int = 3) -> list[int]:
    return list(range(size))


@step
def doubled(values: list[int]) -> list[int]:
    print("doubling", len(values))
    return [2 * value for value in values]


@step
def summed(values: list[int], more: list[int]) -> int:
    log_metrics({"sum": float(sum(values))})
    return sum(values) + len(more)


@step
def next_one(value: int) -> int:
    return value + 1


@step
def first_one(start: int) -> int:
    return start


@step(isolated=True)
def apart(values: list[int]) -> int:
    return len(values)


@pipeline
def diamond(size: int = 3) -> None:
    values = source(size=size)
    summed(doubled(values), values)


@pipeline
def two_steps(size: int = 3) -> None:
    apart(source(size=size))


@pipeline
def chain(start: int, length: int = 50) -> None:
    value = first_one(start=start)
    for _ in range(length - 1):
        value = next_one(value)


@pipeline
def wide(start: int, width: int = 12) -> None:
    values = source(size=start)
    for _ in range(width):
        doubled(values)


@step
def waits(value: int, seconds: float) -> int:
    time.sleep(seconds)
    return value + 1


@pipeline
def patient(length: int = 12, seconds: float = 10.0) -> None:
    value = first_one(start=0)
    for _ in range(length):
        value = waits(value, seconds)
