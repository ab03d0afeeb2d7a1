"""ZenML on its default stack with its local database: no server, analytics off; dynamic pipelines where steps sleep."""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import frames
import pandas as pd  # noqa: TC002  zenml reads the annotation at run time
from adapter import Measurements, serve, timed, unique
from zenml import pipeline, step

if TYPE_CHECKING:
    from collections.abc import Callable


@step  # type: ignore[misc]
def first(start: int) -> int:
    return start


@step  # type: ignore[misc]
def increment(value: int) -> int:
    return value + 1


@step  # type: ignore[misc]
def leaf(start: int, number: int) -> int:
    return start + number


@step  # type: ignore[misc]
def wait(start: int, number: int) -> int:
    time.sleep(0.2)
    return start + number


@step  # type: ignore[misc]
def make(megabytes: int, start: int) -> pd.DataFrame:
    return frames.make(megabytes, start % 1000)


@step  # type: ignore[misc]
def shift(frame: pd.DataFrame) -> pd.DataFrame:
    return frames.shift(frame)


@step  # type: ignore[misc]
def shift_and_check(frame: pd.DataFrame) -> pd.DataFrame:
    last = frames.shift(frame)
    frames.check(last)
    return last


@pipeline  # type: ignore[misc]
def chained(start: int, n: int) -> None:
    value = first(start)
    for _ in range(n - 1):
        value = increment(value)


def gather_of(n: int) -> Callable[..., int]:
    """A step with n inputs, as only dynamic pipelines can pass a list of outputs, and they take twice as long per step."""
    names = [f"value_{i}" for i in range(n)]
    parameters = ", ".join(f"{name}: int" for name in names)
    source = f"def gather({parameters}) -> int:\n    return max({', '.join(names)}, 0)\n"
    Path(f"gather_{n}.py").write_text(source, encoding="utf-8")
    sys.path.insert(0, str(Path.cwd()))
    return step(importlib.import_module(f"gather_{n}").gather)  # type: ignore[no-any-return]


def fan_of(n: int) -> Callable[..., object]:
    gather = gather_of(n)

    @pipeline  # type: ignore[misc]
    def fanned(start: int) -> None:
        gather(**{f"value_{i}": leaf(start, i) for i in range(n)})

    return fanned  # type: ignore[no-any-return]


@pipeline(dynamic=True)  # type: ignore[misc]
def slept(start: int, n: int) -> None:
    for number in range(n):
        wait.submit(start, number)


@pipeline  # type: ignore[misc]
def framed(megabytes: int, start: int) -> None:
    shift_and_check(shift(make(megabytes, start)))


@pipeline  # type: ignore[misc]
def single(start: int) -> None:
    first(start)


def chain(n: int) -> Measurements:
    chained(start=unique(), n=2)
    start = unique()
    return {
        "seconds": timed(lambda: chained(start=start, n=n)),
        "cached_seconds": timed(lambda: chained(start=start, n=n)),
    }


def fan(n: int) -> Measurements:
    fan_of(1)(start=unique())
    fanned = fan_of(n)
    return {"seconds": timed(lambda: fanned(start=unique()))}


def sleep(n: int) -> Measurements:
    slept(start=unique(), n=1)
    return {"seconds": timed(lambda: slept(start=unique(), n=n))}


def frame(megabytes: int) -> Measurements:
    framed(megabytes=1, start=unique())
    frames.Stopwatch.seconds = 0.0
    total = timed(lambda: framed(megabytes=megabytes, start=unique()))
    return {"seconds": total - frames.Stopwatch.seconds}


def record(n: int) -> Measurements:
    single(start=unique())
    return {"seconds": timed(lambda: [single(start=unique()) for _ in range(n)])}


def copy_row(database: sqlite3.Connection, table: str, key: str, changes: dict[str, object]) -> None:
    cursor = database.execute(f"SELECT * FROM {table} WHERE id = ?", (key,))  # noqa: S608  the table's name is ours
    row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True)) | changes
    marks = ", ".join("?" * len(row))
    columns = ", ".join(f'"{name}"' for name in row)
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


def seed(n: int) -> Measurements:
    """Fills the database to n runs: one real run, and the rest as copies of its rows, as a real one takes about a second."""
    single(start=unique())
    (path,) = Path(os.environ["ZENML_CONFIG_PATH"]).rglob("zenml.db")
    database = sqlite3.connect(path)
    run, snapshot, created = database.execute("SELECT id, snapshot_id, created FROM pipeline_run LIMIT 1").fetchone()
    (step_run,) = database.execute("SELECT id FROM step_run WHERE pipeline_run_id = ?", (run,)).fetchone()
    last = datetime.fromisoformat(created)
    for number in range(n - 1):
        ids = {"run": uuid4().hex, "snapshot": uuid4().hex, "step": uuid4().hex}
        when = {"created": str(last + timedelta(seconds=number + 1)), "updated": str(last + timedelta(seconds=number + 1))}
        copy_row(database, "pipeline_snapshot", snapshot, when | {"id": ids["snapshot"]})
        named = {"id": ids["run"], "name": f"copy-{number}", "orchestrator_run_id": ids["run"], "snapshot_id": ids["snapshot"]}
        copy_row(database, "pipeline_run", run, when | named)
        owner = {"id": ids["step"], "pipeline_run_id": ids["run"], "snapshot_id": ids["snapshot"]}
        copy_row(database, "step_run", step_run, when | owner)
    database.commit()
    database.close()
    return {}


def list_runs(_: int) -> Measurements:
    """The last 20 of the n runs that `seed` made, name, status and pipeline read; the first call opens the database."""
    from zenml.client import Client

    def last_twenty() -> None:
        runs = Client().list_pipeline_runs(size=20, sort_by="desc:created").items
        if len({(run.name, run.status, run.pipeline.name) for run in runs}) != 20:
            message = f"{len(runs)} runs are listed"
            raise AssertionError(message)

    first_call = timed(last_twenty)
    return {"seconds": sorted(timed(last_twenty) for _ in range(9))[4], "first_seconds": first_call}


if __name__ == "__main__":
    serve({"chain": chain, "fan": fan, "sleep": sleep, "frame": frame, "record": record, "seed": seed, "list": list_runs})
