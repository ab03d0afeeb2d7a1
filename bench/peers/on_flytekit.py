"""Flytekit's local execution: tasks kept by its local cache, frames as structured datasets in Parquet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, List  # noqa: UP035  flytekit reads the annotation at run time

import frames
import pandas as pd  # noqa: TC002  flytekit reads the annotation at run time
from adapter import Measurements, serve, timed, unique
from flytekit import task, workflow

if TYPE_CHECKING:
    from collections.abc import Callable


@task(cache=True, cache_version="1")  # type: ignore[misc]
def increment(value: int) -> int:
    return value + 1


@task(cache=True, cache_version="1")  # type: ignore[misc]
def gather(values: List[int]) -> int:  # noqa: UP006
    return max(values)


@task(cache=True, cache_version="1")  # type: ignore[misc]
def leaf(start: int, number: int) -> int:
    return start + number


@task(cache=True, cache_version="1")  # type: ignore[misc]
def wait(start: int, number: int) -> int:
    time.sleep(0.2)
    return start + number


@task(cache=True, cache_version="1")  # type: ignore[misc]
def make(megabytes: int, start: int) -> pd.DataFrame:
    return frames.make(megabytes, start % 1000)


@task(cache=True, cache_version="1")  # type: ignore[misc]
def shift(frame: pd.DataFrame) -> pd.DataFrame:
    return frames.shift(frame)


@task(cache=True, cache_version="1")  # type: ignore[misc]
def shift_and_check(frame: pd.DataFrame) -> pd.DataFrame:
    last = frames.shift(frame)
    frames.check(last)
    return last


def chain_of(n: int) -> Callable[..., object]:
    @workflow  # type: ignore[misc]
    def chained(start: int) -> int:
        value = start
        for _ in range(n):
            value = increment(value=value)
        return value

    return chained  # type: ignore[no-any-return]


def fan_of(n: int) -> Callable[..., object]:
    @workflow  # type: ignore[misc]
    def fanned(start: int) -> int:
        return gather(values=[leaf(start=start, number=i) for i in range(n)])  # type: ignore[no-any-return]

    return fanned  # type: ignore[no-any-return]


def sleep_of(n: int) -> Callable[..., object]:
    @workflow  # type: ignore[misc]
    def slept(start: int) -> None:
        for number in range(n):
            wait(start=start, number=number)

    return slept  # type: ignore[no-any-return]


@workflow  # type: ignore[misc]
def framed(megabytes: int, start: int) -> pd.DataFrame:
    return shift_and_check(frame=shift(frame=make(megabytes=megabytes, start=start)))  # type: ignore[no-any-return]


def chain(n: int) -> Measurements:
    chain_of(1)(start=unique())
    start = unique()
    return {
        "seconds": timed(lambda: chain_of(n)(start=start)),
        "cached_seconds": timed(lambda: chain_of(n)(start=start)),
    }


def fan(n: int) -> Measurements:
    fan_of(1)(start=unique())
    return {"seconds": timed(lambda: fan_of(n)(start=unique()))}


def sleep(n: int) -> Measurements:
    sleep_of(1)(start=unique())
    return {"seconds": timed(lambda: sleep_of(n)(start=unique()))}


def frame(megabytes: int) -> Measurements:
    framed(megabytes=1, start=unique())
    frames.Stopwatch.seconds = 0.0
    total = timed(lambda: framed(megabytes=megabytes, start=unique()))
    return {"seconds": total - frames.Stopwatch.seconds}


def record(n: int) -> Measurements:
    one = chain_of(1)
    one(start=unique())
    return {"seconds": timed(lambda: [one(start=unique()) for _ in range(n)])}


if __name__ == "__main__":
    serve({"chain": chain, "fan": fan, "sleep": sleep, "frame": frame, "record": record})
