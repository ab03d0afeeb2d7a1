"""What each peer's program shares: `python on_luigi.py chain --n 100` prints one JSON line of measurements."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds by name, for example {"seconds": 0.12, "cached_seconds": 0.01}.
Measurements = dict[str, float]


def unique() -> int:
    """A parameter that no earlier run had, so that nothing is cached by accident."""
    return time.time_ns()


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def serve(workloads: Mapping[str, Callable[[int], Measurements]]) -> None:
    """Runs the workload named first on the command line with the size given as `--n`, and prints what it measured."""
    name, _, size = sys.argv[1:4]
    measured = workloads[name](int(size))
    print("\n" + json.dumps(measured), flush=True)
