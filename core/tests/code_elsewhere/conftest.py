"""An engine that starts each worker far from the project: in an empty folder, with a cache of its own and without the project on its import path."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

_ENGINE = """
    import os, subprocess, sys, tempfile
    from collections.abc import Sequence
    from typing import ClassVar

    from dovetail.components import Capability, Orchestrator
    from dovetail.components.job import RunningJob
    from dovetail.components.step_operator import StepOperator
    from dovetail.plugin import FlavorSpec, hookimpl


    class Process(RunningJob):
        def __init__(self, job, folder):
            environ = {name: value for name, value in os.environ.items() if name not in ("DOVETAIL_PROJECT", "DOVETAIL_ARGV")}
            environ |= {"DOVETAIL_CACHE": folder + "/cache", **job.variables, **job.secrets}
            there = tempfile.mkdtemp(dir=folder)
            command = [sys.executable, *job.command]
            self.log = open(there + "/said", "w+")
            self.process = subprocess.Popen(command, cwd=there, env=environ, stdout=self.log, stderr=self.log)

        @property
        def address(self):
            return str(self.process.pid)

        def wait(self, seconds):
            try:
                return self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None

        def stop(self):
            self.process.kill()
            self.process.wait()
            self.log.close()

        def explain(self):
            self.log.seek(0)
            return self.log.read()[-2000:]


    class Far(Orchestrator):
        folder: str
        capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.REMOTE, Capability.PARALLEL, Capability.MAP, Capability.CONDITIONS})

        def shares_folders(self):
            return True

        def submit(self, plan, run):
            run.drive(lambda task: task.run_by(lambda job: Process(job, self.folder)), slots=2)


    class FarStep(StepOperator):
        folder: str
        runs_images: ClassVar[bool] = False

        def shares_folders(self):
            return True

        def start(self, job):
            return Process(job, self.folder)


    @hookimpl
    def dovetail_orchestrators():
        return [FlavorSpec("far", "far:Far")]


    @hookimpl
    def dovetail_step_operators():
        return [FlavorSpec("far", "far:FarStep")]
"""


@pytest.fixture
def far(install_plugin: Callable[[str, str], Path], apply_stack: Callable[..., None], isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack on which every step runs far away; gives the folder that its workers work in."""
    install_plugin("far", _ENGINE)
    folder = isolated / "far"
    folder.mkdir()
    apply_stack("far", orchestrator=("far", "far", {"folder": str(folder)}))
    monkeypatch.setenv("DOVETAIL_STACK", "far")
    return folder


@pytest.fixture
def repository(programs) -> Callable[..., str]:
    """Calls git in the project, which is made a repository first."""

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false", *arguments]
        return subprocess.run(command, cwd=programs.folder, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet", "--initial-branch=main")
    return git


@pytest.fixture
def write_all(programs) -> Callable[[Mapping[str, str]], None]:
    def write(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            programs.write(name, textwrap.dedent(text))

    return write
