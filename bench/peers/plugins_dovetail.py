"""What installed plugins cost a process that uses none of them: as many as `--n` says beside none, in fresh processes in turns."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from adapter import Measurements, serve, timed

TURNS = 15
ASK = "from dovetail.registry import Registry; Registry.load().flavor('orchestrator', 'local')"
METADATA = "Metadata-Version: 2.1\nName: dovetail-{name}\nVersion: 1.0\nRequires-Dist: dovetail>=0.1,<1\nRequires-Dist: {name}-sdk>=2\n"
MODULE = """\
from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("{name}", "dovetail_{name}.tracker:Tracker", requires=["{name}-sdk>=2"], help="Tracks.")]


@hookimpl
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    return [FlavorSpec("{name}", "dovetail_{name}.orchestrator:Orchestrator", requires=["{name}-sdk>=2"], help="Runs.")]
"""


def plugins(n: int) -> Measurements:
    folders = [lay_out(Path("plugins-of-others") / str(count), count) for count in (0, n)]
    for folder in folders:
        ask(folder)  # what the disk has to fetch is fetched
    turns = [[timed(lambda folder=folder: ask(folder)) for folder in folders] for _ in range(TURNS)]
    without, among = (median(times) for times in zip(*turns, strict=True))
    return {"without_seconds": without, "among_seconds": among, "more_seconds": among - without}


def lay_out(folder: Path, count: int) -> Path:
    """As an installer would leave them: a package and its metadata for each, and compiled modules."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"plugin{number}"
        package, info = folder / f"dovetail_{name}", folder / f"dovetail_{name}-1.0.dist-info"
        for made in (package, info):
            made.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(MODULE.format(name=name), encoding="utf-8")
        (info / "METADATA").write_text(METADATA.format(name=name), encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[dovetail]\n{name} = dovetail_{name}\n", encoding="utf-8")
    compileall.compile_dir(folder, quiet=2)
    return folder


def ask(folder: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(folder.resolve())}
    subprocess.run([sys.executable, "-c", ASK], check=True, env=environ)


if __name__ == "__main__":
    serve({"plugins": plugins})
