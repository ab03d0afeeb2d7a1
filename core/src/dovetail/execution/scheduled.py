"""The process that makes one run of a schedule: started by an engine's clock, or by `dovetail scheduler` for a tick that it claimed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dovetail.errors import ConfigurationError, Corrupt, DovetailError, NotFound, StoreError
from dovetail.execution.driving import carry_out
from dovetail.execution.importing import use_package
from dovetail.execution.launching import log_of
from dovetail.execution.overlap import Going, skipped_for
from dovetail.execution.running import begin
from dovetail.execution.ticks import local
from dovetail.execution.worker import store_alone
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.schedules import Standing, standing
from dovetail.ledger.ticks import Ticks
from dovetail.planning.model_inputs import found_anew
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.values.model import pin
from dovetail.values.names import TICK, fill
from dovetail.values.plan import Plan
from dovetail.values.project import find_project
from dovetail.worker import ExitCode, read_store_address

_ENDS_WITHIN = 60.0  # seconds that a run has to end which was cancelled for the next
_POLL = 0.5


def run_scheduled(address: str) -> ExitCode:
    """Make a run of what a schedule keeps, at the moment that the engine's clock chose, and see it to its end."""
    alone, record = _read(address)
    now = time.time()
    claim = {"at": now, "run": layout.new_run_id(now)}
    idle = _idle(record, standing(alone.ledger.records.newest(layout.schedules(record["name"])))) or _make_room(record, alone, claim)
    if idle:
        print(idle, file=sys.stderr)
        return ExitCode.DONE
    use_package(alone.ledger.records, record["plan"].get("package"), record["plan"].get("root"), elsewhere=True)
    plan = _of_tick(Plan.from_json(record["plan"]), record, {**claim, "due": now // 60 * 60}, alone.ledger)
    workspace = open_workspace(snapshot=plan.stack, project=find_project(Path.cwd()))
    begin(plan, workspace)
    return carry_out(plan, workspace)


def _read(address: str) -> tuple[Workspace, dict[str, Any]]:
    flavor, configuration, path = read_store_address(address)
    alone = store_alone(flavor, configuration)
    record = alone.ledger.records.find(path)
    if record is None:
        raise ConfigurationError(f"There is no schedule at {path} of {alone.store.uri('')}. End it at the engine, and make it again.")
    return alone, record


def _idle(record: Mapping[str, Any], counts: Standing | None) -> str | None:
    """Why there is nothing to do, although the engine's clock says so."""
    replaced = counts is not None and (counts.record.get("address") or counts.by_scheduler) and counts.record["plan"]["run_id"] != record["plan"]["run_id"]
    if counts is None or replaced:
        return f"The schedule of pipeline '{record['name']}' was ended or replaced, so nothing is run. End it at the engine."
    if counts.paused is not None:
        return f"The schedule of pipeline '{record['name']}' is paused, so nothing is run. Resume it: dovetail schedules resume {record['name']}."
    return None


def _make_room(record: Mapping[str, Any], workspace: Workspace, claim: Mapping[str, Any]) -> str | None:
    """Do what the overlap policy says of runs that go on, and claim the moment; gives why there is to be no run."""
    ticks, going = Ticks(workspace.ledger.records, record["name"]), Going(workspace)
    overlap = record.get("overlap", "skip")
    open_ = going.of(ticks) if overlap != "allow" else []
    if open_ and overlap == "skip":
        why = skipped_for(open_)
        ticks.claim(claim["at"], {"at": claim["at"], "why": why}, engine=True)
        return f"No run of pipeline '{record['name']}' is made: {why}."
    ticks.claim(claim["at"], claim, engine=True)
    going.cancel(open_)
    until = time.monotonic() + _ENDS_WITHIN
    while any(going.goes_on(ticks, each) for each in open_) and time.monotonic() < until:
        time.sleep(_POLL)
    return None


def run_tick(address: str, due: float) -> ExitCode:
    """Make the run that a tick's claim decided, and see it to its end. Nothing where another process began that run.

    What cannot begin is settled, so that nobody tries again; a store that cannot be reached is tried again by the scheduler.
    """
    alone, record = _read(address)
    ledger = alone.ledger
    ticks = Ticks(ledger.records, record["name"])
    claim = ticks.find(due)
    if claim is None or "run" not in claim:
        raise ConfigurationError(f"The tick at {due} of schedule '{record['name']}' was not claimed for a run. `dovetail scheduler` does so.")
    try:
        plan, workspace = _made_ready(record, claim, ledger)
        begun = begin(plan, workspace)
    except DovetailError as error:
        if isinstance(error, Corrupt) or not isinstance(error, StoreError):
            ticks.settle(due, {"at": time.time(), "why": str(error)})
        raise
    if not begun:
        return ExitCode.DONE
    ticks.settle(due, {"at": time.time(), "run": plan.run_id})
    code = carry_out(plan, workspace)
    if code is ExitCode.DONE:
        with contextlib.suppress(OSError):  # it is open, which not every system allows
            log_of(plan.run_id).unlink(missing_ok=True)  # whoever started this process may be gone
    return code


def _made_ready(record: Mapping[str, Any], claim: Mapping[str, Any], ledger: Ledger) -> tuple[Plan, Workspace]:
    kept = Plan.from_json(record["plan"])
    here = kept.root is not None and os.path.isdir(kept.root)
    try:
        use_package(ledger.records, kept.package, kept.root)
    except FileNotFoundError as error:
        raise ConfigurationError(f"The code that the schedule of pipeline '{record['name']}' kept is not in the store any more. Schedule it again.") from error
    if here:
        os.chdir(str(kept.root))  # what the pipeline names by relative paths lies there, wherever the scheduler was started
    plan = _of_tick(kept, record, claim, ledger)
    workspace = open_workspace(snapshot=plan.stack, project=find_project(Path.cwd()))
    for kind in workspace.stack.components:
        workspace.stack.build(kind)
    return plan, workspace


def _of_tick(plan: Plan, record: Mapping[str, Any], claim: Mapping[str, Any], ledger: Ledger) -> Plan:
    """The plan of the run that a claim decides: the same, whoever makes it and how often."""
    tick = local({"timezone": record["timezone"]}, claim["due"])
    fields = {**plan.options.get("substitutions", {}), "scheduled": tick.strftime(TICK)}
    name = fill("run", record["run_name"], datetime.fromtimestamp(claim["at"], timezone.utc), fields)
    tags = tuple(dict.fromkeys((*plan.tags, "scheduled")))
    models, pins = _pinned_now(plan, ledger)
    steps = tuple(replace(step, node=found_anew(step.node, lambda model, wanted: pins[pin(model, wanted)], ledger)) for step in plan.steps)
    fresh = {"run_id": claim["run"], "run_name": name, "created": claim["at"], "scheduled_for": claim["due"]}
    return replace(plan, **fresh, tags=tags, models=models, pins=pins, steps=steps)


def _pinned_now(plan: Plan, ledger: Ledger) -> tuple[Mapping[str, int | None], Mapping[str, int]]:
    """The model versions that stages have now, in place of those when the schedule was made."""
    pins = {key: _resolved(ledger, key, number) for key, number in plan.pins.items()}
    changed = {(key.rpartition("@")[0], number): pins[key] for key, number in plan.pins.items()}
    models = {name: changed.get((name, number), number) if number is not None else None for name, number in plan.models.items()}
    return models, pins


def _resolved(ledger: Ledger, key: str, before: int) -> int:
    name, _, wanted = key.rpartition("@")
    if wanted.isdecimal():
        return before
    try:
        return ledger.versions.resolve_model(name, None if wanted == "newest" else wanted)
    except NotFound as error:
        raise ConfigurationError(f"The run of the schedule uses model '{name}' in {wanted}: {error}") from error
