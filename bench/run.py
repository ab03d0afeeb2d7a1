"""Measures Dovetail side by side with its peers: `python bench/run.py [--quick] [--only dovetail,luigi] [--workload chain]`.

Makes one virtual environment per peer (with uv where it is found, else with venv and pip), runs every workload in turns,
and prints the medians and the ratios as Markdown. Only the standard library is needed to start it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from environments import PEERS, Environment, ready
from processes import Place, ProgramFailed, measure
from report import Samples, medians_table, reaches_table, value_of
from workloads import NOTES, WORKLOADS, ZENML_WORKERS, Workload, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "RESULTS.md"
QUICK_SEED = 30


class Bench:
    """One run of the benchmark: what it measured, and what could not be measured and why."""

    def __init__(self, environments: Sequence[Environment], work: Path, *, quick: bool, rounds: int | None) -> None:
        self.environments = environments
        self.work = work
        self.quick = quick
        self.rounds = rounds
        self.samples: Samples = {}
        self.failures: dict[tuple[str, str], str] = {}

    def run(self, workload: Workload) -> None:
        taking_part = [one for one in self.environments if one.peer.name in workload.peers]
        for environment in taking_part:
            self.guarded(workload, environment, self.prepare)
        for number in range(self.rounds or (1 if self.quick else workload.rounds)):
            first = number % max(len(taking_part), 1)
            for environment in taking_part[first:] + taking_part[:first]:
                self.guarded(workload, environment, self.take)
            print(f"{workload.name}: round {number + 1} done", file=sys.stderr)

    def guarded(self, workload: Workload, environment: Environment, act: Callable[[Workload, Environment], None]) -> None:
        """A peer that fails in one workload is left out of it from then on, and the table says so."""
        key = workload.name, environment.peer.name
        if key in self.failures:
            return
        try:
            act(workload, environment)
        except ProgramFailed as problem:
            self.failures[key] = str(problem)
            print(f"{workload.name}: {environment.peer.title} failed: {problem}", file=sys.stderr)

    def prepare(self, workload: Workload, environment: Environment) -> None:
        place = self.place(workload, environment)
        place.prepare()
        if workload.seed:
            size = QUICK_SEED if self.quick else workload.seed
            measure(program("seed")(environment, place, size), place, ZENML_WORKERS)
        if workload.warm:
            measure(workload.command(environment, place, 1), place, ZENML_WORKERS)

    def take(self, workload: Workload, environment: Environment) -> None:
        place = self.place(workload, environment)
        if workload.fresh:
            place.clear()
            place.prepare()
            os.sync()  # so that nobody waits for what the one before has left to write
        size = workload.size_for(environment.peer.name, quick=self.quick)
        sample = measure(workload.command(environment, place, size), place, ZENML_WORKERS)
        if workload.fresh:
            place.clear()
        for row in workload.rows:
            value = value_of(row, sample, size)
            if value is not None:
                self.samples.setdefault((row.name, environment.peer.name), []).append(value)

    def place(self, workload: Workload, environment: Environment) -> Place:
        return Place(self.work / workload.name / environment.peer.name)

    def report(self) -> str:
        versions = {one.peer.name: one.version() for one in self.environments}
        parts = ["# Dovetail and its peers, measured in one run", self.circumstances()]
        parts += ["## Medians", medians_table(self.samples, self.failures, versions)]
        reaches = reaches_table(self.samples)
        parts += ["## Reach", reaches] if reaches else []
        parts += ["## How each is used", "\n".join(f"- {note}" for peer, note in NOTES if not peer or peer in versions)]
        return "\n\n".join(parts) + "\n"

    def circumstances(self) -> str:
        size = (
            " Quick: smaller sizes than the rows say and one round, good to see that it runs and for nothing else."
            if self.quick
            else ""
        )
        return f"`python bench/run.py` with Python {platform.python_version()} on {os.cpu_count()} cores.{size}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names(peer.name for peer in PEERS), help="these peers, with commas between")
    parser.add_argument("--workload", type=names(one.name for one in WORKLOADS), help="these workloads, with commas between")
    parser.add_argument("--rounds", type=int, help="how often each is measured (default: 3 to 9, by workload)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--envs", type=Path, default=ROOT / ".bench-envs", help="where the virtual environments are kept")
    parser.add_argument("--work", type=Path, help="where the peers may write (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help=f"also write {RESULTS.relative_to(ROOT)}")
    return parser.parse_args()


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    allowed = list(known)

    def read(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(allowed)}")
        return text.split(",")

    return read


def main() -> int:
    asked = arguments()
    environments = [ready(peer, asked.envs.resolve()) for peer in PEERS if not asked.only or peer.name in asked.only]
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.work) as work:
        bench = Bench(environments, Path(work), quick=asked.quick, rounds=asked.rounds)
        for workload in WORKLOADS:
            if not asked.workload or workload.name in asked.workload:
                bench.run(workload)
        report = bench.report()
    print(report)
    if asked.write:
        RESULTS.write_text(report, encoding="utf-8")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
