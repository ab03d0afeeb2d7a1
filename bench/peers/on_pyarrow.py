"""The floor for the frame: three plain writes and two plain reads of Arrow IPC files, conversion from and to pandas included."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import frames
import pandas as pd  # noqa: F401  to leave its import out of the time
import pyarrow as pa
from adapter import Measurements, serve, timed, unique

if TYPE_CHECKING:
    from collections.abc import Callable


def write(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read(path: Path) -> pd.DataFrame:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all().to_pandas()


def frame(megabytes: int) -> Measurements:
    def three_steps(size: int, folder: Path) -> Callable[[], None]:
        def act() -> None:
            write(frames.make(size, unique() % 1000), folder / "made.arrow")
            write(frames.shift(read(folder / "made.arrow")), folder / "shifted.arrow")
            last = frames.shift(read(folder / "shifted.arrow"))
            frames.check(last)
            write(last, folder / "again.arrow")

        return act

    with tempfile.TemporaryDirectory(dir=".") as name:
        timed(three_steps(1, Path(name)))
        frames.Stopwatch.seconds = 0.0
        total = timed(three_steps(megabytes, Path(name)))
    return {"seconds": total - frames.Stopwatch.seconds}


if __name__ == "__main__":
    serve({"frame": frame})
