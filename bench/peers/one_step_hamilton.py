from __future__ import annotations

import sys
import time

from hamilton import driver


def one(start: int) -> int:
    return start


if __name__ == "__main__":
    dataflow = driver.Builder().with_modules(sys.modules["__main__"]).with_cache(path="cache").build()
    dataflow.execute(["one"], inputs={"start": time.time_ns()})
