"""Driving a run in a process of its own, from its records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from dovetail.errors import ConfigurationError, StoreError
from dovetail.execution.driver import Listener
from dovetail.execution.hooks import EndedRun, call_recorded_run_hook
from dovetail.execution.importing import definition_of, use_package
from dovetail.execution.resuming import plan_to_resume, recorded_plan
from dovetail.execution.running import begin, execute
from dovetail.execution.worker import Worker
from dovetail.planning.workspace import Workspace, open_workspace, run_address
from dovetail.values.plan import Plan, Status
from dovetail.values.processes import process_identity
from dovetail.values.project import Project, cache_folder, find_project
from dovetail.worker import ExitCode, for_children, read_address

_TAKES_OVER_WITHIN = 30.0  # seconds


def detach(plan: Plan, workspace: Workspace) -> None:
    """Start a child in its own session that drives a begun run, and return once it holds the run's lease."""
    records = workspace.ledger.run(plan.run_id)
    address = run_address(workspace, plan.run_id)
    log = cache_folder() / "detached" / f"{plan.run_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        command = [sys.executable, "-m", "dovetail.execution", address]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, env=for_children(os.environ)
        )
    _reap(process)
    until = time.monotonic() + _TAKES_OVER_WITHIN
    while workspace.store.stat(f"{records.base}/heartbeat") is None and records.finished() is None:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            reason = log.read_text(errors="replace")[-2000:] or "it said nothing"
            raise StoreError(f"The process that was to drive run {plan.run_name} did not take it over: {reason}")
        time.sleep(0.02)


def resume_in_child(run_id: str, workspace: Workspace) -> str:
    """Start a process that resumes an ended run from the code that the run kept; gives the new run's id once it exists.

    Raises ConfigurationError, with what the process said, when it could not begin.
    """
    address = run_address(workspace, run_id)
    command = [sys.executable, "-m", "dovetail.execution", address, "--resume", json.dumps(workspace.stack.snapshot())]
    log = cache_folder() / "detached" / f"resume-{run_id}-{time.time_ns()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, start_new_session=True)
    assert process.stdout is not None
    with process.stdout:
        made = process.stdout.readline().decode().strip()
    _reap(process).join(timeout=None if not made else 0)
    if not made:
        raise ConfigurationError(log.read_text(errors="replace").strip().splitlines()[-1] if log.stat().st_size else "The run could not be resumed.")
    return made


def resume_recorded(address: str, snapshot: str) -> int:
    """Resume a run in this process and print the new run's id once it exists; gives an exit code."""
    _, _, run_id = read_address(address)
    stack = json.loads(snapshot)
    old = recorded_plan(open_workspace(snapshot=stack).ledger, run_id)
    workspace = open_workspace(snapshot=stack, project=_project_of(old))
    plan = plan_to_resume(run_id, workspace)
    begin(plan, workspace)
    print(plan.run_id, flush=True)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
    return carry_out(plan, workspace)


def _project_of(plan: Plan) -> Project:
    return find_project(Path(plan.root) if plan.root and os.path.isdir(plan.root) else Path.cwd())


def _reap(process: subprocess.Popen[bytes]) -> threading.Thread:
    """Wait for a child that goes its own way, so that it leaves no zombie while this process lives."""
    thread = threading.Thread(target=process.wait, daemon=True, name="dovetail-reaper")
    thread.start()
    return thread


def drive_recorded(address: str, listeners: Iterable[Listener] = ()) -> int:
    """Take over a run's lease and carry it out; gives an exit code."""
    first = Worker.at(address).workspace
    _, _, run_id = read_address(address)
    plan = recorded_plan(first.ledger, run_id)
    first.ledger.run(run_id).beat(process_identity())
    use_package(first.ledger.records, plan.package, plan.root)
    return carry_out(plan, open_workspace(snapshot=plan.stack, project=_project_of(plan)), listeners)


def carry_out(plan: Plan, workspace: Workspace, listeners: Iterable[Listener] = ()) -> ExitCode:
    """Carry out a begun run whose code was taken from where the run keeps it, and call its pipeline's hooks."""
    finished, error = execute(plan, workspace, definition_of, listeners)
    call_recorded_run_hook(plan, EndedRun(workspace, finished), error)
    return ExitCode.DONE if Status(finished["status"]).is_success else ExitCode.FAILED
