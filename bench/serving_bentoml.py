"""Measures the deployer `bentoml`: `python bench/serving_bentoml.py [--quick] [--write]`, in an environment with dovetail-bentoml and scikit-learn.

(a) A deployment beside a bare `bentoml serve` of the same model, neither of which logs each request. (b) Requests in flight during
updates: how many were lost. As `serving.py` does it: servers take turns, and every figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from load import Load
from serving import HERE, Server, body, described, during_updates, model, report, side_by_side

RESULTS = HERE / "SERVING_BENTOML.md"
PATH = "/predict_proba"


def asked(rows: int) -> dict[str, Any]:
    return {"instances": body(rows)["instances"], "dtype": "float64", "kind": "array"}


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", "bare_bento:Bare", "--host", "127.0.0.1", "--port", str(port)]
    said = {"MODEL": str(folder / "model.pickle"), "BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=HERE, env={**os.environ, **said}, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ask = lambda rows, connections: Load(url, {"instances": body(rows)["instances"]}, path=PATH, connections=connections)  # noqa: E731
        yield Server("bare bentoml serve", [process.pid, *map(int, children)], ask)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait(url: str) -> None:
    import urllib.request

    for _ in range(600):
        try:
            return urllib.request.urlopen(f"{url}/readyz", timeout=1).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"Nothing answers at {url}.")


@contextmanager
def deployed(fitted: Any, folder: Path) -> Iterator[Server]:
    from dovetail.components.serving.folder import ServingFolder
    from dovetail_bentoml.model_deployer import BentoMLModelDeployer

    deployer = BentoMLModelDeployer()
    handle: Any = deployer.start(described(fitted, folder))
    try:
        pids = [handle["processes"][0]["pid"], *(worker["pid"] for worker in ServingFolder(Path(handle["folder"])).workers())]
        token = deployer.token(handle)
        yield Server("deployer bentoml", pids, lambda rows, many: Load(handle["url"], asked(rows), path=PATH, token=token, connections=many))
    finally:
        deployer.stop(handle)


def main() -> int:
    from dovetail_bentoml.model_deployer import BentoMLModelDeployer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    rounds, seconds, updates = (2, 0.5, 2) if given.quick else (15, 1.0, 10)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["DOVETAIL_HOME"] = str(folder / "dovetail")
        fitted = model(folder)
        with ExitStack() as both:
            servers = [both.enter_context(bare(folder)), both.enter_context(deployed(fitted, folder))]
            tables = {(rows, many): side_by_side(servers, rows, many, rounds, seconds) for rows in (1, 100) for many in (1, 8)}
        updated = during_updates(BentoMLModelDeployer(), lambda handle, token, **kind: Load(handle["url"], asked(1), path=PATH, token=token, **kind), fitted, folder, updates, 1.0)
    said = ("# Serving by BentoML, measured in one run", f"serving_bentoml.py` with Python {platform.python_version()} and BentoML {version('bentoml')}")
    text = report(said, "bare bentoml serve", "deployer bentoml", tables, updated, updates)
    print(text)
    if given.write:
        RESULTS.write_text(text, encoding="utf-8")
    return 1 if any(measured.lost for measured in updated.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
