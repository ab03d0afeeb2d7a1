"""The frame that goes through three steps: seven float columns and one string column, made alike for every peer.

Making and changing it costs every peer the same, so that time is kept apart and taken off: what remains is the peer's own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FLOATS = 7
BYTES_PER_ROW = FLOATS * 8 + 24  # a string is 16 characters and 8 bytes of offset


class Stopwatch:
    """Seconds spent on the frame itself, not on keeping it."""

    seconds = 0.0


def make(megabytes: int, seed: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    start = time.perf_counter()
    rows = megabytes * 1_000_000 // BYTES_PER_ROW
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {f"f{i}": random.random(rows) for i in range(FLOATS)}
    names = pa.array([f"N{number:015d}" for number in range(10_000)], pa.large_string())
    columns["tail"] = names.take(pa.array(random.integers(0, 10_000, rows))).to_pandas()
    frame = pd.DataFrame(columns, copy=False)
    Stopwatch.seconds += time.perf_counter() - start
    return frame


def shift(frame: pd.DataFrame) -> pd.DataFrame:
    """The same frame with one column changed, so that the next step keeps other bytes."""
    start = time.perf_counter()
    changed = frame.assign(f0=frame["f0"] + 1.0)
    Stopwatch.seconds += time.perf_counter() - start
    return changed


def check(frame: pd.DataFrame) -> None:
    """Reads one value, for peers that hand over something lazy."""
    if not 2.0 <= float(frame["f0"].iloc[0]) < 3.0:  # noqa: PLR2004
        message = "the frame did not go through its three steps"
        raise AssertionError(message)
