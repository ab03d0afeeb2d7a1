"""Kedro from Python: nodes, a catalog whose every entry is a file, and its runners."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from adapter import Measurements, serve, timed, unique
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner, ThreadRunner
from kedro_datasets.json import JSONDataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from kedro.runner import AbstractRunner


def increment(value: int) -> int:
    return value + 1


def gather(*values: int) -> int:
    return sum(values)


def wait(number: int) -> int:
    time.sleep(0.2)
    return number


def make(megabytes: int) -> pd.DataFrame:
    import frames

    return frames.make(megabytes, unique() % 1000)


def shift(frame: pd.DataFrame) -> pd.DataFrame:
    import frames

    return frames.shift(frame)


def shift_and_check(frame: pd.DataFrame) -> pd.DataFrame:
    import frames

    last = frames.shift(frame)
    frames.check(last)
    return last


def run(nodes: list[Any], inputs: Mapping[str, int], runner: AbstractRunner | None = None) -> None:
    """Every output of every node is kept as a JSON file under a name of its own."""
    pipeline = Pipeline(nodes)
    kept = {name: JSONDataset(filepath=f"outputs/{unique()}/{name}.json") for name in pipeline.all_outputs()}
    given = {name: MemoryDataset(value) for name, value in inputs.items()}
    (runner or SequentialRunner()).run(pipeline, DataCatalog(kept | given))


def run_chain(n: int) -> None:
    nodes = [node(increment, f"v{i}", f"v{i + 1}", name=f"increment_{i}") for i in range(n)]
    run(nodes, {"v0": unique()})


def run_fan(n: int) -> None:
    leaves = [node(increment, f"in{i}", f"out{i}", name=f"leaf_{i}") for i in range(n)]
    end = node(gather, [f"out{i}" for i in range(n)], "total", name="gather")
    run([*leaves, end], {f"in{i}": i for i in range(n)})


def run_sleep(n: int) -> None:
    nodes = [node(wait, f"in{i}", f"out{i}", name=f"wait_{i}") for i in range(n)]
    run(nodes, {f"in{i}": i for i in range(n)}, ThreadRunner(max_workers=n))


def run_frame(megabytes: int) -> None:
    from kedro_datasets.pandas import FeatherDataset

    names = ("made", "shifted", "again")
    kept = {
        name: FeatherDataset(filepath=f"outputs/{unique()}/{name}.arrow", save_args={"compression": "uncompressed"})
        for name in names
    }
    pipeline = Pipeline(
        [
            node(make, "megabytes", "made"),
            node(shift, "made", "shifted"),
            node(shift_and_check, "shifted", "again"),
        ],
    )
    SequentialRunner().run(pipeline, DataCatalog(kept | {"megabytes": MemoryDataset(megabytes)}))


def chain(n: int) -> Measurements:
    run_chain(2)
    return {"seconds": timed(lambda: run_chain(n))}


def fan(n: int) -> Measurements:
    run_fan(2)
    return {"seconds": timed(lambda: run_fan(n))}


def sleep(n: int) -> Measurements:
    run_sleep(1)
    return {"seconds": timed(lambda: run_sleep(n))}


def frame(megabytes: int) -> Measurements:
    import frames

    run_frame(1)
    frames.Stopwatch.seconds = 0.0
    total = timed(lambda: run_frame(megabytes))
    return {"seconds": total - frames.Stopwatch.seconds}


def record(n: int) -> Measurements:
    run_chain(1)
    return {"seconds": timed(lambda: [run_chain(1) for _ in range(n)])}


if __name__ == "__main__":
    serve({"chain": chain, "fan": fan, "sleep": sleep, "frame": frame, "record": record})
