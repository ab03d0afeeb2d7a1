"""What is measured, as data: one workload is one command per peer, and the rows of the table that come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from environments import Environment
    from processes import Place

Command = list["str | Path"]
FRAMEWORKS = ("dovetail", "zenml", "luigi", "hamilton", "flytekit", "kedro")
WITH_RUNS = ("dovetail", "zenml")
ZENML_WORKERS = {"ZENML_DYNAMIC_PIPELINE_WORKER_COUNT": "20"}


@dataclass(frozen=True)
class Row:
    """One line of the table: which measurement, per how many of what, and in which unit it is shown."""

    name: str
    title: str
    key: str
    unit: str = "s"
    per_size: bool = False
    times: int = 1


@dataclass(frozen=True)
class Workload:
    name: str
    command: Callable[[Environment, Place, int], Command]
    rows: tuple[Row, ...]
    peers: tuple[str, ...] = FRAMEWORKS
    rounds: int = 5
    size: int = 1
    quick_size: int = 1
    zenml_size: int | None = None
    seed: int = 0  # runs recorded before the first round
    warm: bool = False  # once before the first round, for byte code, databases and the disk's cache
    fresh: bool = False  # a new place for every round, as each fills hundreds of megabytes

    def size_for(self, peer: str, *, quick: bool) -> int:
        size = self.quick_size if quick else self.size
        return min(size, self.zenml_size) if peer == "zenml" and self.zenml_size else size


def program(workload: str) -> Callable[[Environment, Place, int], Command]:
    def command(environment: Environment, place: Place, size: int) -> Command:
        return [environment.python, place.programs / f"on_{environment.peer.name}.py", workload, "--n", str(size)]

    return command


def one_step(environment: Environment, place: Place, _: int) -> Command:
    return [environment.python, place.programs / f"one_step_{environment.peer.name}.py"]


def plain_import(environment: Environment, _: Place, __: int) -> Command:
    return [environment.python, "-c", environment.peer.plain_import]


def begin(environment: Environment, _: Place, __: int) -> Command:
    return [environment.python, "-c", environment.peer.begin]


def show_help(environment: Environment, _: Place, __: int) -> Command:
    return [environment.command(environment.peer.name), "--help"]


def among_plugins(environment: Environment, place: Place, size: int) -> Command:
    return [environment.python, place.programs / "plugins_dovetail.py", "plugins", "--n", str(size)]


def list_command(environment: Environment, _: Place, __: int) -> Command:
    ask = {
        "dovetail": ["runs", "list", "--limit", "20"],
        "zenml": ["pipeline", "runs", "list", "--size", "20", "--sort_by", "desc:created"],
    }
    return [environment.command(environment.peer.name), *ask[environment.peer.name]]


LONGEST_FOR_ALL = 100


def chain(size: int, quick_size: int, rounds: int = 5) -> Workload:
    row = Row(f"chain-{size}", f"a chain of {size:,} steps, per step", "seconds", "ms", per_size=True)
    cached = Row(f"cached-{size}", f"the same {size:,} steps again, cached, per step", "cached_seconds", "ms", per_size=True)
    for_all = size <= LONGEST_FOR_ALL  # longer ones show only that Dovetail's cost stays linear
    peers = FRAMEWORKS if for_all else ("dovetail",)
    name = "chain" if for_all else f"chain-{size}"
    return Workload(name, program("chain"), (row, cached), peers, size=size, quick_size=quick_size, rounds=rounds)


WORKLOADS = (
    Workload("import", plain_import, (Row("import", "`import …`, as a process", "process", "ms"),), rounds=9, warm=True),
    Workload(
        "begin", begin, (Row("begin", "importing what a pipeline needs, as a process", "process", "ms"),), rounds=9, warm=True
    ),
    Workload("help", show_help, (Row("help", "`… --help`", "process", "ms"),), WITH_RUNS, rounds=9, warm=True),
    Workload(
        "plugins",
        among_plugins,
        (
            Row("plugins", "finding a flavor among 60 plugins of others, more than among none", "more_seconds", "ms"),
            Row("plugins-process", "the same, as a process", "among_seconds", "ms"),
        ),
        ("dovetail",),
        rounds=3,
        size=60,
        quick_size=60,
    ),
    Workload(
        "one-step",
        one_step,
        (
            Row("one-step", "a run of one step, as a process", "process", "ms"),
            Row("one-step-memory", "its peak memory", "memory", "MB"),
        ),
        rounds=7,
        warm=True,
    ),
    chain(100, 20),
    chain(1_000, 50, rounds=3),
    chain(10_000, 200, rounds=3),
    Workload("fan", program("fan"), (Row("fan", "50 steps side by side and a gather", "seconds"),), size=50, quick_size=10),
    Workload("sleep", program("sleep"), (Row("sleep", "20 steps that sleep 0.2 s", "seconds"),), size=20, quick_size=20),
    Workload(
        "frame",
        program("frame"),
        (
            Row("frame", "a 500 MB frame through 3 steps", "seconds"),
            Row("frame-memory", "its peak memory", "memory", "MB"),
        ),
        (*FRAMEWORKS, "pyarrow"),
        rounds=3,
        size=500,
        quick_size=20,
        fresh=True,
    ),
    Workload(
        "list",
        program("list"),
        (
            Row("list", "the last 20 of 1,000 runs by the client", "seconds", "ms"),
            Row("list-first", "the same, first call of a process", "first_seconds", "ms"),
        ),
        WITH_RUNS,
        seed=1_000,
    ),
    Workload(
        "list-command",
        list_command,
        (Row("list-command", "the last 20 of 1,000 runs by the command", "process", "ms"),),
        WITH_RUNS,
        seed=1_000,
        warm=True,
    ),
    Workload(
        "record",
        program("record"),
        (Row("record", "1,000 runs of one step in one process", "seconds", per_size=True, times=1_000),),
        rounds=3,
        size=1_000,
        quick_size=20,
        zenml_size=20,
    ),
)

# By the peer that a note is about; "" for all.
NOTES = (
    (
        "",
        "Every figure is the median of its rounds; peers take turns within each round. Nothing is cached unless the row says so.",
    ),
    ("", "The frame is made and changed within the steps; that time is the same for all and taken off."),
    ("zenml", "ZenML: local stack and database, analytics off. Its 1,000 runs of one step are 20 runs scaled up."),
    ("zenml", "ZenML: the 1,000 runs that it lists are one real run and copies of its rows in the database."),
    ("zenml", "ZenML: its sleeping steps are a dynamic pipeline with 20 workers."),
    ("luigi", "Luigi: local scheduler, local targets. Its cached chain is one look at whether the last target exists."),
    (
        "hamilton",
        "Hamilton: its cache keeps every value; frames in feather. A fingerprint by column is registered for frames, as its "
        "own goes over the rows in Python.",
    ),
    ("hamilton", "Hamilton: its sleeping steps run in its thread pool, which its cache cannot follow: nothing is kept there."),
    ("flytekit", "Flytekit: local execution, one step after another; its local cache keeps every value, frames as Parquet."),
    ("kedro", "Kedro: a file for each output, run from Python; its thread runner for the sleeping steps. It has no cache."),
    (
        "pyarrow",
        "pyarrow: plain writes and reads of Arrow IPC files, with the conversion from and to pandas; no run is recorded.",
    ),
)
