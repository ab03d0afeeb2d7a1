"""Hamilton with its cache, which keeps every node's value; its thread pool where steps sleep."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapter import Measurements, serve, timed, unique
from hamilton import driver

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

CHAIN = """
def v{next}(v{this}: int) -> int:
    return v{this} + 1
"""
LEAF = """
def leaf{this}(start: int) -> int:
    return start + {this}
"""
SLEEP = """
def wait{this}(start: int) -> int:
    time.sleep(0.2)
    return start + {this}
"""
FRAME = """
@cache(format="feather")
def made(megabytes: int, start: int) -> pd.DataFrame:
    return frames.make(megabytes, start % 1000)


@cache(format="feather")
def shifted(made: pd.DataFrame) -> pd.DataFrame:
    return frames.shift(made)


@cache(format="feather")
def again(shifted: pd.DataFrame) -> pd.DataFrame:
    last = frames.shift(shifted)
    frames.check(last)
    return last
"""


def module_of(functions: Iterable[str], imports: str = "") -> ModuleType:
    """A dataflow is a module: this writes one, as its functions differ only in their names."""
    name = f"dataflow_{unique()}"
    folder = Path("dataflows")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(imports + "\n".join(functions), encoding="utf-8")
    if str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def chain_of(n: int) -> ModuleType:
    return module_of(CHAIN.format(this=i, next=i + 1) for i in range(n))


def fan_of(n: int) -> ModuleType:
    gather = "def gather({}) -> int:\n    return max({})\n".format(
        ", ".join(f"leaf{i}: int" for i in range(n)),
        ", ".join(f"leaf{i}" for i in range(n)) + ", 0",
    )
    return module_of([LEAF.format(this=i) for i in range(n)] + [gather])


def run(module: ModuleType, final: list[str], inputs: dict[str, int]) -> None:
    driver.Builder().with_modules(module).with_cache(path="cache").build().execute(final, inputs=inputs)


def run_side_by_side(module: ModuleType, final: list[str], inputs: dict[str, int]) -> None:
    """The thread pool hands futures from node to node, which the cache cannot keep: nothing is kept here."""
    from hamilton.plugins.h_threadpool import FutureAdapter

    adapter = FutureAdapter(max_workers=len(final), thread_name_prefix="wait")
    driver.Builder().with_modules(module).with_adapters(adapter).build().execute(final, inputs=inputs)


def chain(n: int) -> Measurements:
    run(chain_of(1), ["v1"], {"v0": unique()})
    module, inputs = chain_of(n), {"v0": unique()}
    return {
        "seconds": timed(lambda: run(module, [f"v{n}"], inputs)),
        "cached_seconds": timed(lambda: run(module, [f"v{n}"], inputs)),
    }


def fan(n: int) -> Measurements:
    run(fan_of(1), ["gather"], {"start": unique()})
    module = fan_of(n)
    return {"seconds": timed(lambda: run(module, ["gather"], {"start": unique()}))}


def sleep(n: int) -> Measurements:
    module = module_of([SLEEP.format(this=i) for i in range(n)], imports="import time")
    run_side_by_side(module, ["wait0"], {"start": unique()})
    final = [f"wait{i}" for i in range(n)]
    return {"seconds": timed(lambda: run_side_by_side(module, final, {"start": unique()}))}


def fingerprint_frames_by_column() -> None:
    """Hamilton's own fingerprint goes over the rows in Python (80 s for 500 MB); its docs say to register one's own."""
    import pandas as pd
    from hamilton.caching import fingerprinting

    @fingerprinting.hash_value.register(pd.DataFrame)
    def _(frame: pd.DataFrame, *_: object, **__: object) -> str:
        rows = pd.util.hash_pandas_object(frame).to_numpy()
        return str(fingerprinting.hash_bytes(rows.tobytes()))


def frame(megabytes: int) -> Measurements:
    import frames

    fingerprint_frames_by_column()
    module = module_of([FRAME], imports="import frames\nimport pandas as pd\nfrom hamilton.function_modifiers import cache\n")
    run(module, ["again"], {"megabytes": 1, "start": unique()})
    frames.Stopwatch.seconds = 0.0
    inputs = {"megabytes": megabytes, "start": unique()}
    total = timed(lambda: run(module, ["again"], inputs))
    return {"seconds": total - frames.Stopwatch.seconds}


def record(n: int) -> Measurements:
    module = chain_of(1)
    run(module, ["v1"], {"v0": unique()})
    return {"seconds": timed(lambda: [run(module, ["v1"], {"v0": unique()}) for _ in range(n)])}


if __name__ == "__main__":
    serve({"chain": chain, "fan": fan, "sleep": sleep, "frame": frame, "record": record})
