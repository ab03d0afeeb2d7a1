"""Runs that an engine's own clock starts: a schedule keeps a plan, and each time one job of the engine makes a run of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dovetail.components.component import Capability
from dovetail.components.job import Job, JobGraph
from dovetail.components.orchestrator import GraphOrchestrator
from dovetail.errors import ConfigurationError, DefinitionError, NotFound
from dovetail.execution.hooks import EndedRun, call_recorded_run_hook
from dovetail.execution.images import provide_images
from dovetail.execution.importing import definition_of, use_package
from dovetail.execution.running import begin, execute
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.stack.handing import to_hand, to_show
from dovetail.values.names import fill
from dovetail.values.plan import Decision, Plan, Status
from dovetail.values.project import find_project
from dovetail.values.settings import Schedule
from dovetail.worker import ExitCode, address_of, read_store_address, schedule_arguments

_LATER = (Decision.RUN, Decision.CACHED, Decision.LATER)


def make_schedule(plan: Plan, workspace: Workspace, schedule: Schedule, template: str) -> dict[str, Any]:
    """Have the stack's orchestrator start runs of this plan; gives the record. A schedule of the pipeline that there is already is replaced.

    `template`: for the runs' names. Raises DefinitionError where the orchestrator has no clock, ImageError where an image cannot be made.
    """
    orchestrator = _clock_of(plan, workspace)
    provide_images(plan, workspace)
    kept = replace(plan, stack=workspace.stack.anchored_snapshot(), images={}, notes=())
    name = plan.pipeline
    record = {"name": name, "cron": schedule.cron, "timezone": schedule.timezone, "at": time.time(), "run_name": template, "plan": kept.to_json()}
    records = workspace.ledger.records
    records.format(create=True)
    number = records.append(layout.schedules(name), record)  # before the engine knows of it, since its first job may read it at once
    address = orchestrator.schedule(_slug(name), schedule, _graph_of(workspace, kept, number))
    records.append(layout.schedules(name), {**record, "address": address}, above=number)
    return {**record, "address": address}


def _clock_of(plan: Plan, workspace: Workspace) -> GraphOrchestrator:
    orchestrator: Any = workspace.stack.build("orchestrator")
    if isinstance(orchestrator, GraphOrchestrator) and Capability.SCHEDULES in orchestrator.capabilities:
        return orchestrator
    raise DefinitionError(
        f"Pipeline '{plan.pipeline}' cannot be scheduled: orchestrator '{orchestrator.name}' (flavor {orchestrator.flavor}) has no clock of its own. "
        f"Use a stack whose orchestrator has one, or start `dovetail run` by cron."
    )


def _graph_of(workspace: Workspace, plan: Plan, number: int) -> JobGraph:
    """One job, in the image of the pipeline's first step, that makes a run and sees it to its end."""
    stack, spec = workspace.stack, workspace.stack.components["artifact_store"]
    address = address_of(spec.flavor, stack.anchored("artifact_store"), f"{layout.schedules(plan.pipeline)}/{number}.json")
    configurations = [each.configuration for each in stack.components.values()]
    shown = bool(getattr(stack.build("orchestrator"), "shows_variables", False))
    labels = {"dovetail.pipeline": plan.pipeline, "dovetail.stack": stack.name, "dovetail.schedule": str(number)}
    job = Job(
        name=f"schedule-{_slug(plan.pipeline)}-{number}",
        command=schedule_arguments(address),
        image=next((step.image for step in plan.steps if step.image), None),
        variables=to_show(configurations) if shown else {},
        secrets=to_hand(configurations, stack.secret) if not shown else {},
        labels=labels,
    )
    return JobGraph(job.name, plan.pipeline, "", [job], labels=labels)


def _slug(name: str) -> str:
    """What every engine takes as part of a name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "pipeline"


def schedules(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """The newest record of each pipeline's schedule, if it was not ended."""
    for name in sorted(ledger.store.folders("schedules")):
        record = next((record for _, record in ledger.records.newest(f"schedules/{name}")), None)
        if record is not None and record.get("status") != "ended":
            yield record


def end_schedule(name: str, workspace: Workspace) -> None:
    """Let the engine start no more runs of it. Raises NotFound."""
    known = list(schedules(workspace.ledger))
    record = next((record for record in known if record["name"] == name), None)
    if record is None:
        raise NotFound("schedule", name, (other["name"] for other in known))
    if record.get("address"):
        plan = Plan.from_json(record["plan"])
        orchestrator: Any = open_workspace(snapshot=plan.stack, project=workspace.project).stack.build("orchestrator")
        orchestrator.unschedule(record["address"])
    workspace.ledger.records.append(layout.schedules(name), {"name": name, "status": "ended", "at": time.time()})


def run_scheduled(address: str) -> ExitCode:
    """Make a run of what a schedule keeps, in this process, and see it to its end."""
    flavor, configuration, path = read_store_address(address)
    store = {"flavor": flavor, "name": flavor, "configuration": configuration}
    ledger = open_workspace(snapshot={"name": "schedule", "components": {"artifact_store": store}, "waive": []}).ledger
    record = ledger.records.find(path)
    if record is None:
        raise ConfigurationError(f"There is no schedule at {path} of {ledger.store.uri('')}. End it at the engine, and make it again.")
    use_package(ledger.records, record["plan"].get("package"), record["plan"].get("root"), elsewhere=True)
    plan = _of_now(Plan.from_json(record["plan"]), record)
    workspace = open_workspace(snapshot=plan.stack, project=find_project(Path.cwd()))
    begin(plan, workspace)
    finished, error = execute(plan, workspace, definition_of)
    call_recorded_run_hook(plan, EndedRun(workspace, finished), error)
    return ExitCode.DONE if Status(finished["status"]).is_success else ExitCode.FAILED


def _of_now(plan: Plan, record: Mapping[str, Any]) -> Plan:
    """The plan of a run that begins now. What the cache knows is asked when each step is about to run."""
    now = time.time()
    moment = datetime.fromtimestamp(now, timezone.utc)
    steps = tuple(
        replace(step, decision=Decision.LATER, why="decided when it is about to run", key=None, entry=None) if step.decision in _LATER else step
        for step in plan.steps
    )
    name = fill("run", record["run_name"], moment, plan.options.get("substitutions", {}))
    return replace(plan, run_id=layout.new_run_id(now), run_name=name, created=now, steps=steps, tags=(*plan.tags, "scheduled"))
