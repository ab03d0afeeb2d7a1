"""Luigi as its users run it on one machine: tasks with parameters, local targets, the local scheduler."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
from adapter import Measurements, serve, timed, unique

if TYPE_CHECKING:
    import pandas as pd

OUTPUTS = Path("outputs").resolve()


class Kept(luigi.Task):  # type: ignore[misc]
    """A task whose value is one JSON file, named by its own task id."""

    start = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(OUTPUTS / f"{self.task_id}.json")

    def keep(self, value: Any) -> None:
        with self.output().open("w") as file:
            json.dump(value, file)

    @staticmethod
    def value_of(target: luigi.LocalTarget) -> Any:
        with target.open() as file:
            return json.load(file)


class First(Kept):
    def run(self) -> None:
        self.keep(self.start)


class Increment(Kept):
    n = luigi.IntParameter()

    def requires(self) -> luigi.Task:
        return Increment(start=self.start, n=self.n - 1) if self.n > 1 else First(start=self.start)

    def run(self) -> None:
        self.keep(self.value_of(self.input()) + 1)


class Leaf(Kept):
    n = luigi.IntParameter()

    def run(self) -> None:
        self.keep(self.n)


class Gather(Kept):
    n = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        return [Leaf(start=self.start, n=i) for i in range(self.n)]

    def run(self) -> None:
        self.keep(sum(self.value_of(target) for target in self.input()))


class Sleep(Kept):
    n = luigi.IntParameter()

    def run(self) -> None:
        time.sleep(0.2)
        self.keep(self.n)


class SleepAll(luigi.WrapperTask):  # type: ignore[misc]
    start = luigi.IntParameter()
    n = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        return [Sleep(start=self.start, n=i) for i in range(self.n)]


class Frame(luigi.Task):  # type: ignore[misc]
    """A task whose value is a frame in one Arrow IPC file."""

    start = luigi.IntParameter()
    megabytes = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(OUTPUTS / f"{self.task_id}.arrow", format=luigi.format.Nop)

    def keep(self, frame: pd.DataFrame) -> None:
        with self.output().temporary_path() as path:
            frame.to_feather(path, compression="uncompressed")

    def value(self) -> pd.DataFrame:
        import pandas as pd

        return pd.read_feather(self.input().path)


class MakeFrame(Frame):
    def run(self) -> None:
        import frames

        self.keep(frames.make(self.megabytes, self.start % 1000))


class ShiftFrame(Frame):
    def requires(self) -> luigi.Task:
        return MakeFrame(start=self.start, megabytes=self.megabytes)

    def run(self) -> None:
        import frames

        self.keep(frames.shift(self.value()))


class ShiftAgain(Frame):
    def requires(self) -> luigi.Task:
        return ShiftFrame(start=self.start, megabytes=self.megabytes)

    def run(self) -> None:
        import frames

        last = frames.shift(self.value())
        frames.check(last)
        self.keep(last)


def build(task: luigi.Task, workers: int = 1) -> None:
    if not luigi.build([task], local_scheduler=True, workers=workers, log_level="WARNING"):
        message = f"{task} did not complete"
        raise RuntimeError(message)


def chain(n: int) -> Measurements:
    build(Increment(start=unique(), n=1))
    task = Increment(start=unique(), n=n - 1)
    return {"seconds": timed(lambda: build(task)), "cached_seconds": timed(lambda: build(task))}


def fan(n: int) -> Measurements:
    build(Gather(start=unique(), n=1))
    return {"seconds": timed(lambda: build(Gather(start=unique(), n=n)))}


def sleep(n: int) -> Measurements:
    build(Gather(start=unique(), n=1))
    return {"seconds": timed(lambda: build(SleepAll(start=unique(), n=n), workers=n))}


def frame(megabytes: int) -> Measurements:
    import frames

    build(ShiftAgain(start=unique(), megabytes=1))
    frames.Stopwatch.seconds = 0.0
    total = timed(lambda: build(ShiftAgain(start=unique(), megabytes=megabytes)))
    return {"seconds": total - frames.Stopwatch.seconds}


def record(n: int) -> Measurements:
    build(First(start=unique()))
    return {"seconds": timed(lambda: [build(First(start=unique())) for _ in range(n)])}


if __name__ == "__main__":
    serve({"chain": chain, "fan": fan, "sleep": sleep, "frame": frame, "record": record})
