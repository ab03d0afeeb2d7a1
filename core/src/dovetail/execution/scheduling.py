"""Runs that an engine's own clock starts: a schedule keeps a plan, and each time one job of the engine makes a run of it."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dovetail.components.component import Capability
from dovetail.components.job import Job, JobGraph
from dovetail.components.orchestrator import GraphOrchestrator
from dovetail.digest import of_bytes
from dovetail.errors import ConfigurationError, DefinitionError, NotFound
from dovetail.execution.driving import carry_out
from dovetail.execution.images import provide_images
from dovetail.execution.importing import use_package
from dovetail.execution.jobs import of_the_stack, slug
from dovetail.execution.running import begin
from dovetail.execution.worker import store_alone
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.values.names import fill
from dovetail.values.plan import Plan
from dovetail.values.project import find_project
from dovetail.values.settings import Schedule
from dovetail.worker import ExitCode, address_of, read_store_address, schedule_arguments

_READABLE = 40  # characters of a pipeline's name in a schedule's


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
    before = _kept_by_engines(workspace.ledger, name)
    number = records.append(layout.schedules(name), record)  # before the engine knows of it, since its first job may read it at once
    address = orchestrator.schedule(_name_of(workspace, name), schedule, _graph_of(workspace, kept, number))
    records.append(layout.schedules(name), {**record, "address": address}, above=number)
    _let_go([old for old in before if old["address"] != address], workspace)
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
    variables, secrets = of_the_stack(stack, "orchestrator")
    labels = {"dovetail.pipeline": plan.pipeline, "dovetail.stack": stack.name, "dovetail.schedule": str(number)}
    job = Job(
        name=f"schedule-{slug(plan.pipeline)[:_READABLE]}-{number}",
        command=schedule_arguments(address),
        image=next((step.image for step in plan.steps if step.image), None),
        variables=variables,
        secrets=secrets,
        labels=labels,
    )
    return JobGraph(job.name, plan.pipeline, "", [job], labels=labels)


def _name_of(workspace: Workspace, pipeline: str) -> str:
    """Another for each pipeline, stack and store that one account of an engine may see."""
    told = "\0".join((str(workspace.ledger.store_id), workspace.stack.name, pipeline))
    return f"{slug(pipeline)[:_READABLE]}-{of_bytes(told.encode())[:8]}"


def schedules(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """What counts of each pipeline's schedule, if it was not ended: the newest record that an engine has."""
    for name in sorted(ledger.store.folders("schedules")):
        living = _living(ledger, name)
        if living:
            yield next((record for record in living if record.get("address")), living[0])


def _living(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    """The records of a pipeline's schedules since one was ended, newest first."""
    records = (record for _, record in ledger.records.newest(layout.schedules(name)))
    return list(itertools.takewhile(lambda record: record.get("status") != "ended", records))


def _kept_by_engines(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    """One record for each schedule that an engine may still have."""
    return list({record["address"]: record for record in _living(ledger, name) if record.get("address")}.values())


def _let_go(records: Iterable[Mapping[str, Any]], workspace: Workspace) -> None:
    for record in records:
        own = open_workspace(snapshot=record["plan"]["stack"], project=workspace.project).stack
        orchestrator: Any = own.build("orchestrator")
        orchestrator.unschedule(record["address"])


def end_schedule(name: str, workspace: Workspace) -> None:
    """Let engines start no more runs of it. Raises NotFound."""
    known = [record["name"] for record in schedules(workspace.ledger)]
    if name not in known:
        raise NotFound("schedule", name, known)
    _let_go(_kept_by_engines(workspace.ledger, name), workspace)
    workspace.ledger.records.append(layout.schedules(name), {"name": name, "status": "ended", "at": time.time()})


def run_scheduled(address: str) -> ExitCode:
    """Make a run of what a schedule keeps, in this process, and see it to its end."""
    flavor, configuration, path = read_store_address(address)
    ledger = store_alone(flavor, configuration).ledger
    record = ledger.records.find(path)
    if record is None:
        raise ConfigurationError(f"There is no schedule at {path} of {ledger.store.uri('')}. End it at the engine, and make it again.")
    counts = next((known for known in schedules(ledger) if known["name"] == record["name"]), None)
    if counts is None or (counts.get("address") and counts["plan"]["run_id"] != record["plan"]["run_id"]):
        print(f"The schedule of pipeline '{record['name']}' was ended or replaced, so nothing is run. End it at the engine.", file=sys.stderr)
        return ExitCode.DONE
    use_package(ledger.records, record["plan"].get("package"), record["plan"].get("root"), elsewhere=True)
    plan = _of_now(Plan.from_json(record["plan"]), record)
    workspace = open_workspace(snapshot=plan.stack, project=find_project(Path.cwd()))
    begin(plan, workspace)
    return carry_out(plan, workspace)


def _of_now(plan: Plan, record: Mapping[str, Any]) -> Plan:
    """The plan of a run that begins now."""
    now = time.time()
    moment = datetime.fromtimestamp(now, timezone.utc)
    name = fill("run", record["run_name"], moment, plan.options.get("substitutions", {}))
    return replace(plan, run_id=layout.new_run_id(now), run_name=name, created=now, tags=(*plan.tags, "scheduled"))
