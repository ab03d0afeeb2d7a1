"""Measures what running a step elsewhere costs: `python bench/remote.py [--rounds 7] [--json]`.

Run it by an environment that has dovetail with the plugins docker and aws and their tests' requirements; from a clone,
`python3 tasks.py test` makes one: `.venv-plugins/bin/python bench/remote.py`. What it needs is started on loopback and
stopped: a container engine (as root, where `dockerd` is), an emulator of S3. Rows whose engine is not there say so.

Rows
    worker          a process of the step operator `local`: until the step's first line, and from its last line to the committed outcome
    container       a step more in a run of the docker orchestrator, against a bare `docker run` of the same image that starts Python, in turns
    requests        what a worker asks an S3 store for one step with one input and one output, heartbeats aside
    cached chain    50 cached steps on S3, each request 20 ms late: until the run is over, and the jobs it took
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "plugins" / "aws" / "tests"))

FLOW = '''
import time
from dovetail import pipeline, step

@step(enable_cache=False, step_operator=True)
def stamped(number: int) -> list:
    begun = time.time()
    return [begun, time.time()]

@step(enable_cache=False)
def plain(number: int) -> list:
    begun = time.time()
    return [begun, time.time()]

@step
def add(number: int) -> int:
    return number + 1

@pipeline
def elsewhere():
    stamped(1)

@pipeline
def here(steps: int):
    last = None
    for _ in range(steps):
        last = plain(1, **({"after": [last]} if last is not None else {}))

@pipeline
def pair(start: int = 0):
    add(add(start))

@pipeline
def chain(length: int, start: int = 0):
    number = add(start)
    for _ in range(length - 1):
        number = add(number)
'''


class Project:
    """A project of its own in a temporary folder, and stacks of given components."""

    def __init__(self, folder: Path, trial: Any, flow: Any) -> None:
        self.folder, self._trial, self.flow = folder, trial, flow

    def run(self, pipeline: Any, *components: Any, **parameters: Any) -> Any:
        run = self._trial.on(*components).run(pipeline, **parameters)
        if run.status not in ("completed", "cached"):
            raise RuntimeError(f"{run.name} {run.status}: {[step.error for step in run.steps.values() if step.error]}")
        return run


@contextmanager
def project() -> Iterator[Project]:
    import pytest

    from dovetail.testing.trial import isolate, project_in

    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as place, pytest.MonkeyPatch.context() as patch:
        isolate(Path(place), patch)
        with project_in(Path(place) / "project", patch) as trial:
            (Path(place) / "project" / "bench_flow.py").write_text(FLOW, encoding="utf-8")
            sys.modules.pop("bench_flow", None)
            import bench_flow

            yield Project(Path(place), trial, bench_flow)


def local_store(folder: Path) -> Any:
    from dovetail.local.artifact_store import LocalArtifactStore

    return LocalArtifactStore(path=folder / "store")


def worker(made: Project, rounds: int) -> dict[str, float]:
    from dovetail.local.orchestrator import LocalOrchestrator
    from dovetail.local.step_operator import LocalStepOperator

    before, after = [], []

    class Timed(LocalStepOperator):
        def start(self, job: Any) -> Any:
            self.__dict__["_at"] = time.time()
            return super().start(job)

    operator = Timed().called("timed", "local")
    for _ in range(rounds + 1):
        run = made.run(made.flow.elsewhere, LocalOrchestrator(), local_store(made.folder), operator)
        step = run.steps["stamped"]
        begun, ended = step.output.load()
        before.append(begun - operator.__dict__["_at"])
        after.append(step.outcome["ended"] - ended)
    return {"seconds to the first line": median(before[1:]), "seconds from the last line": median(after[1:])}


def container(made: Project, rounds: int) -> dict[str, float]:
    from dovetail_docker.orchestrator import DockerOrchestrator
    from dovetail_docker.testing import DockerEngine, mounted_sources, python_image

    with DockerEngine() as engine:
        image, python = python_image(engine), f"{sys.prefix}/bin/python"
        volumes = mounted_sources()
        orchestrator = DockerOrchestrator(host=engine.host, image=image, python=python, network="host", volumes=volumes)
        client = engine.client()
        ones, ours, bare = [], [], []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            client.containers.run(image, [python, "-c", "pass"], network_mode="host", volumes=volumes, init=True, remove=True)
            bare.append(time.perf_counter() - began)
            took = []
            for steps in (1, 5):
                began = time.perf_counter()
                made.run(made.flow.here, orchestrator, local_store(made.folder), steps=steps)
                took.append(time.perf_counter() - began)
            ones.append(took[0])
            ours.append((took[1] - took[0]) / 4)
        one, step, plain = median(ones[1:]), median(ours[1:]), median(bare[1:])
        return {"seconds of a run with one step": one, "seconds of a step more": step, "seconds of docker run": plain, "more than docker run": step - plain}


def requests(made: Project, rounds: int) -> dict[str, float]:
    from dovetail.local.orchestrator import LocalOrchestrator

    del rounds
    with bucket() as (store, front):
        processes = LocalOrchestrator(processes=True)
        made.run(made.flow.pair, processes, store, start=1)
        os.environ["AWS_SDK_UA_APP_ID"] = "worker"
        try:
            with front.noted() as asked:
                made.run(made.flow.pair, processes, store, start=100)
        finally:
            del os.environ["AWS_SDK_UA_APP_ID"]
        mine = [each for each in asked if "app/worker" in each.headers["user-agent"] and not each.path.endswith("/heartbeat")]
        first, second = (sum(f"/steps/{name}/plan.json" in each.path for each in mine) for name in ("add", "add_2"))
        assert (first, second) == (1, 1)
        start = next(number for number, each in enumerate(mine) if each.path.endswith("/steps/add_2/plan.json"))
        return {"first step of a worker": start, "each further": len(mine) - start}


def cached_chain(made: Project, rounds: int) -> dict[str, float]:
    from dovetail.local.orchestrator import LocalOrchestrator

    with bucket() as (store, _):
        made.run(made.flow.chain, LocalOrchestrator(), store, length=50, start=7)
        seconds, submitted = [], []

        class Counting(LocalOrchestrator):
            def submit(self, plan: Any, run: Any) -> None:
                submitted.append(plan.run_id)

        for _ in range(rounds):
            with late(0.02, store) as delayed:
                began = time.perf_counter()
                made.run(made.flow.chain, Counting(), delayed, length=50, start=7)
                seconds.append(time.perf_counter() - began)
        return {"seconds": median(seconds), "jobs": len(submitted)}


@contextmanager
def late(seconds: float, store: Any) -> Iterator[Any]:
    """The store, newly made, by a proxy that holds each answer back; a process of its own, as a network is."""
    from emulator import free_port

    port, backend = free_port(), store.endpoint_url.rpartition(":")[2]
    process = subprocess.Popen([sys.executable, ROOT / "bench" / "slow_link.py", str(port), backend, str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield dataclasses.replace(store, endpoint_url=f"http://127.0.0.1:{port}").called("far", "s3")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def bucket() -> Iterator[tuple[Any, Any]]:
    from emulator import emulator
    from front import front

    from dovetail_aws.artifact_store import S3ArtifactStore

    os.environ |= {"AWS_ACCESS_KEY_ID": "trial", "AWS_SECRET_ACCESS_KEY": "trial", "AWS_DEFAULT_REGION": "us-east-1"}
    with emulator() as running, front(running.port) as watched:
        yield S3ArtifactStore(path="s3://trial/bench", endpoint_url=watched.url, trusted=True), watched


def median(values: list[float]) -> float:
    return statistics.median(values)


ROWS: dict[str, Callable[[Project, int], dict[str, float]]] = {
    "worker": worker, "container": container, "requests": requests, "cached chain": cached_chain,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="rows, with commas between")
    chosen = parser.parse_args()
    wanted = [name for name in ROWS if not chosen.only or name in chosen.only.split(",")]
    print("| row | figure | measured |\n|---|---|---|")
    for name in wanted:
        with project() as made:
            for figure, value in ROWS[name](made, chosen.rounds).items():
                print(f"| {name} | {figure} | {value:.3g} |", flush=True)


if __name__ == "__main__":
    main()
