"""Making, pausing and ending schedules: each keeps a plan, of which an engine's clock or `dovetail scheduler` makes runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dovetail.components.component import Capability
from dovetail.components.job import Job, JobGraph
from dovetail.components.orchestrator import GraphOrchestrator
from dovetail.digest import of_bytes
from dovetail.errors import DefinitionError, NotFound, numbered
from dovetail.execution.images import provide_images
from dovetail.execution.jobs import of_the_stack, slug
from dovetail.execution.launching import schedule_address
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.schedules import SCHEDULER, each_schedule, living
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.values.plan import Plan
from dovetail.values.settings import Schedule
from dovetail.worker import schedule_arguments

_READABLE = 40  # characters of a pipeline's name in a schedule's


def make_schedule(plan: Plan, workspace: Workspace, schedule: Schedule, template: str) -> dict[str, Any]:
    """Keep this plan as the pipeline's schedule, for the orchestrator's clock or, where it has none, for `dovetail scheduler`.

    Gives the record, with `address` where an engine has it. A schedule of the pipeline that there is already is replaced. `template`:
    for the runs' names. Raises DefinitionError for what the engine's clock cannot keep, ImageError where an image cannot be made.
    """
    orchestrator = _clock_of(workspace)
    if orchestrator is not None:
        _refuse(plan, schedule, orchestrator)
    provide_images(plan, workspace)
    kept = replace(plan, stack=workspace.stack.anchored_snapshot(), images={}, notes=())
    record = {
        "name": plan.pipeline, "cron": schedule.cron, "timezone": schedule.timezone, "overlap": schedule.overlap, "missed": schedule.missed,
        "at": time.time(), "run_name": template, "plan": kept.to_json(),
    }  # fmt: skip
    workspace.ledger.records.format(create=True)
    before = _kept_by_engines(workspace.ledger, plan.pipeline)
    if orchestrator is None:
        record["kept_by"] = SCHEDULER
        workspace.ledger.records.append(layout.schedules(plan.pipeline), record)
    else:
        record["address"] = _handed_to(orchestrator, workspace, schedule, kept, record)
    _let_go([old for old in before if old["address"] != record.get("address")], workspace)
    return record


def _handed_to(orchestrator: GraphOrchestrator, workspace: Workspace, schedule: Schedule, kept: Plan, record: Mapping[str, Any]) -> str:
    records, name = workspace.ledger.records, kept.pipeline
    number = records.append(layout.schedules(name), record)  # before the engine knows of it, since its first job may read it at once
    address = orchestrator.schedule(_name_of(workspace, name), schedule, _graph_of(workspace, kept, number))
    records.append(layout.schedules(name), {**record, "address": address}, above=number)
    return address


def _clock_of(workspace: Workspace) -> GraphOrchestrator | None:
    orchestrator: Any = workspace.stack.build("orchestrator")
    has_clock = isinstance(orchestrator, GraphOrchestrator) and Capability.SCHEDULES in orchestrator.capabilities
    return orchestrator if has_clock else None


def _refuse(plan: Plan, schedule: Schedule, orchestrator: GraphOrchestrator) -> None:
    problems = [problem.rstrip(".") for problem in orchestrator.schedule_problems(schedule)]
    if schedule.missed != "latest":
        problems.append(
            f"missed={schedule.missed!r} is for `dovetail scheduler`, and orchestrator '{orchestrator.name}' (flavor {orchestrator.flavor}) has a clock of its "
            "own, which tells nobody what it missed. Leave `missed` out, or use a stack whose orchestrator has no clock"
        )
    if problems:
        raise DefinitionError(numbered(f"Pipeline '{plan.pipeline}' cannot be scheduled so", problems) + ".")


def _graph_of(workspace: Workspace, plan: Plan, number: int) -> JobGraph:
    """One job, in the image of the pipeline's first step, that makes a run and sees it to its end."""
    stack = workspace.stack
    variables, secrets = of_the_stack(stack, "orchestrator")
    labels = {"dovetail.pipeline": plan.pipeline, "dovetail.stack": stack.name, "dovetail.schedule": str(number)}
    job = Job(
        name=f"schedule-{slug(plan.pipeline)[:_READABLE]}-{number}",
        command=schedule_arguments(schedule_address(workspace, f"{layout.schedules(plan.pipeline)}/{number}.json")),
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
    """What counts of each pipeline's schedule, if it was not ended: the newest record that an engine or the scheduler has."""
    for found in each_schedule(ledger.records):
        yield {**found.record, "number": found.number, "since": found.since, "paused": found.paused}


def _kept_by_engines(ledger: Ledger, name: str) -> list[Mapping[str, Any]]:
    """One record for each schedule that an engine may still have."""
    numbered = living(ledger.records.newest(layout.schedules(name)))
    return list({record["address"]: record for _, record in numbered if record.get("address")}.values())


def _let_go(records: Iterable[Mapping[str, Any]], workspace: Workspace) -> None:
    for record in records:
        own = open_workspace(snapshot=record["plan"]["stack"], project=workspace.project).stack
        orchestrator: Any = own.build("orchestrator")
        orchestrator.unschedule(record["address"])


def find_schedule(name: str, ledger: Ledger) -> dict[str, Any]:
    """Raises NotFound."""
    known = {record["name"]: record for record in schedules(ledger)}
    if name not in known:
        cure = "" if known else "`pipeline.schedule(Schedule(cron=…))` makes one."
        raise NotFound("schedule of a pipeline", name, known, cure)
    return known[name]


def end_schedule(name: str, workspace: Workspace) -> None:
    """Let nothing start more runs of it. Raises NotFound."""
    find_schedule(name, workspace.ledger)
    _let_go(_kept_by_engines(workspace.ledger, name), workspace)
    _say(name, "ended", workspace)


def pause_schedule(name: str, workspace: Workspace) -> bool:
    """Let no run be made of it until it is resumed; False where it is paused already. Raises NotFound.

    An engine's clock goes on, and what it starts sees that there is nothing to do.
    """
    if find_schedule(name, workspace.ledger)["paused"] is not None:
        return False
    _say(name, "paused", workspace)
    return True


def resume_schedule(name: str, workspace: Workspace) -> bool:
    """What came meanwhile is not made up. False where it is not paused. Raises NotFound."""
    if find_schedule(name, workspace.ledger)["paused"] is None:
        return False
    _say(name, "resumed", workspace)
    return True


def _say(name: str, status: str, workspace: Workspace) -> None:
    workspace.ledger.records.append(layout.schedules(name), {"name": name, "status": status, "at": time.time()})
