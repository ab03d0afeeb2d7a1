"""An engine with an order of its own: one process carries out a graph of jobs, each a process of its own, and needs no submitter.

`python graph_engine.py FOLDER` carries out FOLDER/graph.json and leaves FOLDER/code when it has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

from dovetail.components import Capability, GraphOrchestrator, Job, JobGraph, RunningJob
from dovetail.plugin import FlavorSpec, hookimpl
from dovetail.values.settings import Schedule

_INHERITED = ("PATH", "HOME", "LANG", "DOVETAIL_HOME", "DOVETAIL_CACHE", "DOVETAIL_PLUGINS")
_AT_ONCE = 4


class GraphEngine(GraphOrchestrator):
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.REMOTE,
            Capability.PARALLEL,
            Capability.RETRIES,
            Capability.TIMEOUTS,
            Capability.MAP,
            Capability.CONDITIONS,
            Capability.ENVIRONMENT_VARIABLES,
            Capability.SCHEDULES,
        }
    )

    folder: Path = field(metadata={"help": "Where graphs are kept."})
    variables: dict[str, str] = field(default_factory=dict)

    def shares_folders(self) -> bool:
        return True

    def start(self, graph: JobGraph) -> RunningJob:
        place = self.folder / graph.name
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            return self.find(str(place))
        told = {"keep_going": graph.keep_going, "labels": dict(graph.labels), "jobs": [self._told(job) for job in graph.jobs]}
        (place / "graph.json").write_text(json.dumps(told))
        environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with (place / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, __file__, str(place)], stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, env=environ
            )
        threading.Thread(target=process.wait, daemon=True).start()  # it goes its own way, and leaves no zombie
        (place / "pid").write_text(str(process.pid))
        return RunningGraph(place)

    def find(self, address: str) -> RunningJob:
        return RunningGraph(Path(address))

    def schedule(self, name: str, schedule: Schedule, graph: JobGraph) -> str:
        place = self.folder / "schedules" / f"{name}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({"cron": schedule.cron, "timezone": schedule.timezone, "job": self._told(graph.jobs[0])}))
        return str(place)

    def unschedule(self, address: str) -> None:
        Path(address).unlink(missing_ok=True)

    def _told(self, job: Job) -> dict[str, Any]:
        variables = {**self.variables, **job.variables, **job.credentials, **job.secrets}
        return {"name": job.name, "command": list(job.command), "variables": variables, "after": list(job.after), "retries": job.retries}


class RunningGraph(RunningJob):
    def __init__(self, place: Path) -> None:
        self._place = place

    @property
    def address(self) -> str:
        return str(self._place)

    def wait(self, seconds: float) -> int | None:
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(FileNotFoundError):
                return int((self._place / "code").read_text())
            if time.monotonic() >= until:
                return None
            time.sleep(0.02)

    def stop(self) -> None:
        (self._place / "stop").touch()

    def explain(self) -> str:
        return (self._place / "said").read_text()[-2000:]


class _Graph:
    def __init__(self, place: Path) -> None:
        told = json.loads((place / "graph.json").read_text())
        self._place = place
        self._keep_going: bool = told["keep_going"]
        self._open: list[dict[str, Any]] = told["jobs"]
        self._running: dict[str, tuple[dict[str, Any], subprocess.Popen[bytes]]] = {}
        self._codes: dict[str, int] = {}

    def carry_out(self) -> int:
        while self._running or self._startable():
            for job in self._startable()[: _AT_ONCE - len(self._running)]:
                self._open.remove(job)
                self._running[job["name"]] = (job, _started(job))
            for name, (job, process) in list(self._running.items()):
                if process.poll() is not None:
                    del self._running[name]
                    self._ended(job, process.returncode)
            time.sleep(0.01)
        return int(any(self._codes.values()))

    def _startable(self) -> Sequence[dict[str, Any]]:
        if (self._place / "stop").exists():
            for _, process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
            return []
        if not self._keep_going and any(self._codes.values()):
            return []
        return [job for job in self._open if all(self._codes.get(name) == 0 for name in job["after"])]

    def _ended(self, job: dict[str, Any], code: int) -> None:
        with (self._place / "ended").open("a") as file:
            file.write(f"{job['name']} {code}\n")
        if code not in (0, 1) and job["retries"] > 0:
            self._open.append({**job, "retries": job["retries"] - 1})
        else:
            self._codes[job["name"]] = code


def _started(job: dict[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *job["command"]], env={**os.environ, **job["variables"]}, cwd=tempfile.mkdtemp(), stdin=subprocess.DEVNULL, start_new_session=True
    )


@hookimpl
def dovetail_orchestrators() -> list[FlavorSpec]:
    return [FlavorSpec("graph_engine", "graph_engine:GraphEngine", help="A graph of processes.")]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    code = _Graph(folder).carry_out()
    (folder / "code.tmp").write_text(str(code))
    os.replace(folder / "code.tmp", folder / "code")
