from __future__ import annotations

import time

from flytekit import task, workflow


@task(cache=True, cache_version="1")  # type: ignore[misc]
def one(start: int) -> int:
    return start


@workflow  # type: ignore[misc]
def single(start: int) -> int:
    return one(start=start)  # type: ignore[no-any-return]


if __name__ == "__main__":
    single(start=time.time_ns())
