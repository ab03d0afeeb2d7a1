"""Measures what serves models: `python bench/serving.py [--quick] [--write]`, in an environment with dovetail[serve] and scikit-learn.

(a) The built-in deployer beside a bare uvicorn application with the same model: requests per second, p50 and p99, and the CPU
time that each server takes for a request. (b) Requests in flight during updates of the built-in deployer: how many were lost.
Servers take turns in short rounds, and every figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import Load, Measured

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "SERVING.md"
COLUMNS = 20
REACH = 1.2


@dataclass(frozen=True)
class Server:
    """`pids`: its processes, whose CPU time is counted. `load(rows, connections)`: what to ask it."""

    name: str
    pids: Sequence[int]
    load: Callable[[int, int], Load]

    def cpu(self) -> float:
        """Seconds of all its processes so far."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def model(folder: Path) -> Any:
    """A scaler and a logistic regression over twenty columns, as quick as models are."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = np.random.default_rng(0).normal(size=(500, COLUMNS))
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, (table[:, 0] > 0).astype(int))
    (folder / "model.pickle").write_bytes(pickle.dumps(fitted))
    return fitted


def body(rows: int) -> dict[str, Any]:
    import numpy as np

    table = np.random.default_rng(1).normal(size=(rows, COLUMNS)).tolist()
    return {"instances": table, "dtype": "float64", "method": "predict_proba"}


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "bare_model:app", "--no-access-log", "--log-level", "warning", "--port", str(port)]
    process = subprocess.Popen(command, cwd=HERE, env={**os.environ, "MODEL": str(folder / "model.pickle")})
    try:
        _wait(port)
        yield Server("bare uvicorn", [process.pid], lambda rows, connections: Load(f"http://127.0.0.1:{port}", body(rows), connections=connections))
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    import socket

    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"Nothing listens at {port}.")


def described(fitted: Any, folder: Path, name: str = "bench") -> Any:
    """What a deployer is given."""
    from dovetail.components import Deployment
    from dovetail.materializers.builtin import SPECS
    from dovetail.materializers.finder import Materializers

    payload = folder / name / "model"
    if not payload.is_dir():
        payload.mkdir(parents=True)
    saved = Materializers(SPECS).save(fitted, str(payload)) if not any(payload.iterdir()) else None
    kept = folder / name / "saved"
    if saved is not None:
        kept.write_text(f"{saved.materializer}\n{saved.type}")
    materializer, type_ = kept.read_text().splitlines()
    return Deployment(name, payload, materializer, type_, "0" * 64, folder / name / "deployment", trusted=True)


@contextmanager
def built_in(fitted: Any, folder: Path) -> Iterator[Server]:
    from dovetail.components.serving.folder import ServingFolder
    from dovetail.local.model_deployer import LocalModelDeployer

    deployer = LocalModelDeployer()
    handle: Any = deployer.start(described(fitted, folder))
    try:
        pids = [handle["processes"][0]["pid"], *(worker["pid"] for worker in ServingFolder(Path(handle["folder"])).workers())]
        token = deployer.token(handle)
        yield Server("built-in deployer", pids, lambda rows, connections: Load(handle["url"], body(rows), token=token, connections=connections))
    finally:
        deployer.stop(handle)


def side_by_side(servers: Sequence[Server], rows: int, connections: int, rounds: int, seconds: float) -> dict[str, list[float]]:
    """By name: requests per second, p50 and p99 in ms, and CPU ms per request; medians of rounds in which the servers take turns."""
    told: dict[str, list[tuple[float, ...]]] = {server.name: [] for server in servers}
    for number in range(rounds + 1):
        for server in servers if number % 2 else servers[::-1]:
            before = server.cpu()
            measured = server.load(rows, connections).run(seconds)
            cost = 1000 * (server.cpu() - before) / max(len(measured.took), 1)
            if measured.lost:
                raise RuntimeError(f"{server.name} lost {len(measured.lost)} requests: {measured.lost[0]}")
            if number:  # the first round warms up
                told[server.name].append((measured.rate, measured.percentile(50), measured.percentile(99), cost))
    return {name: [statistics.median(column) for column in zip(*rounds_, strict=True)] for name, rounds_ in told.items()}


def during_updates(deployer: Any, load: Callable[..., Load], fitted: Any, folder: Path, updates: int, pause: float) -> dict[str, Measured]:
    """What clients saw that asked all the while: on kept connections, on kept ones with pauses, and on a fresh one each time.

    `load(handle, token, **kind)`: what to ask.
    """
    handle: Any = deployer.start(described(fitted, folder, "updated"))
    over, told, token = threading.Event(), {}, deployer.token(handle)
    kinds = {"kept connections": {"connections": 4}, "kept, asked every 0.5 s": {"connections": 8, "pause": 0.5}, "fresh connections": {"connections": 4, "fresh": True}}
    loads = {name: load(handle, token, **kind) for name, kind in kinds.items()}
    threads = [threading.Thread(target=lambda name=name, load=load: told.update({name: load.run(0, over)})) for name, load in loads.items()]
    try:
        for thread in threads:
            thread.start()
        for _ in range(updates):
            time.sleep(pause)
            handle = deployer.update(handle, described(fitted, folder, "updated"))
        time.sleep(7)  # the last ones that gave way have ended
    finally:
        over.set()
        for thread in threads:
            thread.join()
        deployer.stop(handle)
    return told


def report(said: Sequence[str], bare: str, own: str, tables: dict[tuple[int, int], dict[str, list[float]]], updated: dict[str, Measured], updates: int) -> str:
    """`said`: title, and what was measured with; `bare`, `own`: names of the servers that are compared."""
    title, by = said
    lines = [title, "", f"`python bench/{by} on {os.cpu_count()} cores: {COLUMNS} columns, a scaler and a logistic regression.", ""]
    lines += ["| rows | connections | | requests/s | p50 ms | p99 ms | CPU ms per request |", "|---:|---:|---|---:|---:|---:|---:|"]
    for (rows, connections), told in tables.items():
        lines += [f"| {rows} | {connections} | {name} | {f[0]:,.0f} | {f[1]:.2f} | {f[2]:.2f} | {f[3]:.2f} |" for name, f in told.items()]
    lines += ["", f"| rows | connections | {own} / {bare}: time per request | p99 | CPU | reach | met |", "|---:|---:|---:|---:|---:|---:|---|"]
    for (rows, connections), told in tables.items():
        one, two = told[bare], told[own]
        ratios = [one[0] / two[0], two[2] / one[2], two[3] / one[3]]
        met = "yes" if ratios[0] <= REACH and ratios[1] <= REACH else "**no**"
        lines.append(f"| {rows} | {connections} | {ratios[0]:.2f} | {ratios[1]:.2f} | {ratios[2]:.2f} | {REACH} | {met} |")
    lines += ["", f"Requests in flight during {updates} updates of the {own}:", "", "| clients | answered | connections | p99 ms | lost |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {name} | {len(m.took):,} | {m.connections:,} | {m.percentile(99):.1f} | {len(m.lost)} |" for name, m in updated.items()]
    return "\n".join([*lines, ""])


def main() -> int:
    from dovetail.local.model_deployer import LocalModelDeployer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was deployed outlives this process, unless it ends it
    rounds, seconds, updates = (2, 0.4, 2) if given.quick else (9, 0.6, 10)
    with tempfile.TemporaryDirectory() as name, ExitStack() as serving:
        folder = Path(name)
        fitted = model(folder)
        servers = [serving.enter_context(bare(folder)), serving.enter_context(built_in(fitted, folder))]
        tables = {(rows, many): side_by_side(servers, rows, many, rounds, seconds) for rows in (1, 100) for many in (1, 8)}
        updated = during_updates(LocalModelDeployer(), lambda handle, token, **kind: Load(handle["url"], body(1), token=token, **kind), fitted, folder, updates, 0.5)
    said = ("# Serving, measured in one run", f"serving.py` with Python {platform.python_version()}")
    text = report(said, "bare uvicorn", "built-in deployer", tables, updated, updates)
    print(text)
    if given.write:
        RESULTS.write_text(text, encoding="utf-8")
    lost = {name: measured.lost[:3] for name, measured in updated.items() if measured.lost}
    if lost:
        print(f"lost: {lost}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
