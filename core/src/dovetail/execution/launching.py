"""Starting the process that makes the run of one tick; it goes its own way, whatever becomes of who started it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dovetail.planning.workspace import Workspace
from dovetail.values.project import cache_folder
from dovetail.worker import address_of, tick_arguments

_LAST_LINES = 2000  # characters


@dataclass(frozen=True)
class Launched:
    """`log`: the file that holds what the process says."""

    run_id: str
    process: subprocess.Popen[bytes]
    log: Path

    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.poll()

    def said(self) -> str:
        """Its last line, which is the error of one that could not begin."""
        lines = self.log.read_text(errors="replace")[-_LAST_LINES:].strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else ""

    def forget(self, *, keep: bool) -> None:
        if not keep:
            self.log.unlink(missing_ok=True)


Launch = Callable[[Workspace, str, float, str], Launched]


def schedule_address(workspace: Workspace, path: str) -> str:
    """Of the schedule whose record has that path, for a process that knows nothing else."""
    return address_of(workspace.stack.components["artifact_store"].flavor, workspace.stack.anchored("artifact_store"), path)


def log_of(run_id: str) -> Path:
    return cache_folder() / "scheduled" / f"{run_id}.log"


def _has_folder() -> bool:
    """Whether the folder in which this process was started is still there: a release that was replaced is not."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def launch(workspace: Workspace, path: str, due: float, run_id: str) -> Launched:
    """`path`: of the schedule's record."""
    log = log_of(run_id)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *tick_arguments(schedule_address(workspace, path), due)]
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd=None if _has_folder() else log.parent)
    return Launched(run_id, process, log)
