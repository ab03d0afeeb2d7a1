from __future__ import annotations

import time

from zenml import pipeline, step


@step  # type: ignore[misc]
def one(start: int) -> int:
    return start


@pipeline  # type: ignore[misc]
def single(start: int) -> None:
    one(start)


if __name__ == "__main__":
    single(start=time.time_ns())
