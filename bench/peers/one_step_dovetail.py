from __future__ import annotations

import time

from dovetail import pipeline, step


@step
def one(start: int) -> int:
    return start


@pipeline
def single(start: int) -> None:
    one(start)


if __name__ == "__main__":
    single(start=time.time_ns())
