from __future__ import annotations

import time

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset


def one(start: int) -> int:
    return start


if __name__ == "__main__":
    start = time.time_ns()
    catalog = DataCatalog({"start": MemoryDataset(start), "value": JSONDataset(filepath=f"outputs/{start}.json")})
    SequentialRunner().run(Pipeline([node(one, "start", "value")]), catalog)
