"""Dovetail on its default stack; a stack with 20 workers where steps sleep."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import frames
from adapter import Measurements, serve, timed, unique
from dovetail import pipeline, step

if TYPE_CHECKING:
    import pandas as pd


@step
def first(start: int) -> int:
    return start


@step
def increment(value: int) -> int:
    return value + 1


@step
def leaf(start: int, number: int) -> int:
    return start + number


@step
def gather(values: list[int]) -> int:
    return max(values)


@step
def wait(start: int, number: int) -> int:
    time.sleep(0.2)
    return start + number


@step
def make(megabytes: int, start: int) -> pd.DataFrame:
    return frames.make(megabytes, start % 1000)


@step
def shift(frame: pd.DataFrame) -> pd.DataFrame:
    return frames.shift(frame)


@step
def shift_and_check(frame: pd.DataFrame) -> pd.DataFrame:
    last = frames.shift(frame)
    frames.check(last)
    return last


@pipeline
def chained(start: int, n: int) -> None:
    value = first(start)
    for _ in range(n - 1):
        value = increment(value)


@pipeline
def fanned(start: int, n: int) -> None:
    gather([leaf(start, number) for number in range(n)])


@pipeline
def slept(start: int, n: int) -> None:
    for number in range(n):
        wait(start, number)


@pipeline
def framed(megabytes: int, start: int) -> None:
    shift_and_check(shift(make(megabytes, start)))


@pipeline
def single(start: int) -> None:
    first(start)


WIDE = """\
name: wide
components:
  orchestrator: {flavor: local, name: wide, configuration: {workers: 20}}
  artifact_store: {flavor: local, name: wide, configuration: {path: %s}}
"""


def command(*arguments: str) -> None:
    program = Path(sys.executable).parent / "dovetail"
    subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def chain(n: int) -> Measurements:
    chained(start=unique(), n=2)
    start = unique()
    return {
        "seconds": timed(lambda: chained(start=start, n=n)),
        "cached_seconds": timed(lambda: chained(start=start, n=n)),
    }


def fan(n: int) -> Measurements:
    fanned(start=unique(), n=2)
    return {"seconds": timed(lambda: fanned(start=unique(), n=n))}


def sleep(n: int) -> Measurements:
    Path("wide.yaml").write_text(WIDE % Path("wide-store").resolve(), encoding="utf-8")
    command("stack", "apply", "wide.yaml")
    wide = slept.with_options(stack="wide")
    wide(start=unique(), n=1)
    return {"seconds": timed(lambda: wide(start=unique(), n=n))}


def frame(megabytes: int) -> Measurements:
    framed(megabytes=1, start=unique())
    frames.Stopwatch.seconds = 0.0
    total = timed(lambda: framed(megabytes=megabytes, start=unique()))
    return {"seconds": total - frames.Stopwatch.seconds}


def record(n: int) -> Measurements:
    single(start=unique())
    return {"seconds": timed(lambda: [single(start=unique()) for _ in range(n)])}


def seed(n: int) -> Measurements:
    for _ in range(n):
        single(start=unique())
    return {}


def list_runs(_: int) -> Measurements:
    """The last 20 of the n runs that `seed` made, name, status and pipeline read; the first call opens the index."""
    from dovetail import Client

    def last_twenty() -> None:
        runs = Client().list_runs(limit=20)
        if len({(run.name, run.status, run.pipeline) for run in runs}) != 20:  # noqa: PLR2004
            message = f"{len(runs)} runs are listed"
            raise AssertionError(message)

    first_call = timed(last_twenty)
    return {"seconds": sorted(timed(last_twenty) for _ in range(9))[4], "first_seconds": first_call}


if __name__ == "__main__":
    serve({"chain": chain, "fan": fan, "sleep": sleep, "frame": frame, "record": record, "seed": seed, "list": list_runs})
