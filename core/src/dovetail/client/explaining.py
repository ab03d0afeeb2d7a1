"""Why a step ran or did not, told by what differs from the last run in which it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.client.client import Client
from dovetail.client.views import Run, StepRun
from dovetail.errors import NotFound, StoreError
from dovetail.planning.keys import changed, resolve
from dovetail.planning.readings import asked, describe
from dovetail.values.plan import Code, Decision, Plan, PlanStep, Status

_RAN = (Status.COMPLETED, Status.FAILED)


@dataclass(frozen=True)
class Explanation:
    """`because`: one sentence. `against`: the earlier run that `differences` compare with, if any. `asked`: what a cached result rests on."""

    run: str
    step: str
    status: str
    because: str
    against: str | None = None
    differences: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


def explain(client: Client, run: Run, invocation: str) -> Explanation:
    """Why a step of a past run ran, was cached, or did neither. Raises NotFound for a step that the run has not."""
    step_run: StepRun = run.steps[invocation]
    outcome = step_run.outcome
    if outcome is None:
        return Explanation(run.name, invocation, step_run.status.value, "It has not ended yet.")
    status = step_run.status
    if status not in _RAN or "taken_from" in outcome:
        return Explanation(run.name, invocation, status.value, _not_run(client, outcome, step_run), asked=_asked(client, outcome))
    if "uncached" in outcome:
        return Explanation(run.name, invocation, status.value, f"It runs every time: {outcome['uncached']}.")
    earlier = last_run_of(client, run.pipeline, invocation, before=run.id)
    if earlier is None:
        return Explanation(run.name, invocation, status.value, f"It had not run before in pipeline '{run.pipeline}'.")
    differences = tuple(_differences(client, run, step_run, earlier))
    because = (
        _because(outcome, earlier) if not differences else f"What it depends on was otherwise than in run {earlier.run.name}."
    )
    return Explanation(run.name, invocation, status.value, because, earlier.run.name, differences)


def plan_differences(client: Client, plan: Plan) -> dict[str, Explanation]:
    """For each step of a plan that will or may run: what differs from the last run in which it ran. Nothing for a step that is new."""
    known = {step.invocation: (step.entry or {}).get("outputs", {}) for step in plan.steps if step.decision is Decision.CACHED}
    wanted = {
        step.invocation: step for step in plan.steps if step.decision in (Decision.RUN, Decision.LATER) and not step.uncached
    }
    found: dict[str, Explanation] = {}
    for invocation, earlier in _last_runs_of(client, plan.pipeline, set(wanted)).items():
        step = wanted[invocation]
        resolved = {
            name: resolve(given, lambda name, output: known.get(name, {}).get(output)) for name, given in step.node.inputs.items()
        }
        now = {name: given for name, given in resolved.items() if given is not None}
        recorded = (earlier.outcome or {}).get("inputs", {})
        then = {name: given for name, given in recorded.items() if name in now or name not in resolved}
        if step.node.mapped is not None:
            now = then = {}  # its children were given what it takes
        lines = changed(now, then, plan.codes.get(step.code or ""), _code(earlier))
        found[invocation] = Explanation(plan.run_name, invocation, step.decision.value, step.why, earlier.run.name, tuple(lines))
    return found


def last_run_of(client: Client, pipeline: str, invocation: str, before: str) -> StepRun | None:
    """The newest step run of that name, in a run older than `before`, in which the step's function ran."""
    return _last_runs_of(client, pipeline, {invocation}, before).get(invocation)


def _last_runs_of(client: Client, pipeline: str, invocations: set[str], before: str | None = None) -> dict[str, StepRun]:
    found: dict[str, StepRun] = {}
    for run in client.each_run():
        if found.keys() >= invocations:
            break
        if run.pipeline != pipeline or (before is not None and run.id >= before):
            continue
        for invocation in invocations - found.keys():
            if _ran(run, invocation):
                found[invocation] = run.steps[invocation]
    return found


def _ran(run: Run, invocation: str) -> bool:
    recorded = run.header.get("steps")
    if recorded is not None:
        return recorded.get(invocation, {}).get("status") in _RAN
    return invocation in run.steps and run.steps[invocation].status in _RAN


def _not_run(client: Client, outcome: Mapping[str, Any], step_run: StepRun) -> str:
    if "taken_from" in outcome:
        return f"Its result was taken over from run {_name_of(client, outcome['taken_from'])}, which this run resumes."
    if "cached" in outcome:
        source = outcome["cached"]
        return (
            f"Nothing that it depends on has changed since run {source.get('run_name') or source['run']}, whose result it took."
        )
    if step_run.status is Status.SKIPPED:
        return f"It did not run: {step_run.why or 'it was skipped'}."
    return f"It was {step_run.status.value}{f': {step_run.why}' if step_run.why else ''}."


def _name_of(client: Client, run_id: str) -> str:
    try:
        return client.run(run_id).name
    except (NotFound, StoreError):
        return run_id


def _asked(client: Client, outcome: Mapping[str, Any]) -> tuple[str, ...]:
    """What the run that the result was taken from had asked of its surroundings."""
    source = outcome.get("cached")
    if source is None:
        return ()
    try:
        made = client.ledger.run(source["run"]).outcome(source["invocation"]) or {}
    except StoreError:
        return ()
    return tuple(asked(reading) for reading in made.get("readings", ()))


def _differences(client: Client, run: Run, step_run: StepRun, earlier: StepRun) -> Iterator[str]:
    now, then = step_run.outcome or {}, earlier.outcome or {}
    yield from changed(now.get("inputs", {}), then.get("inputs", {}), _code(step_run), _code(earlier))
    yield from _other_readings(now.get("readings", ()), then.get("readings", ()))
    python, before = (_python(client, each) for each in (run, earlier.run))
    if python != before and python and before:
        yield f"Python changed from {before} to {python}"
    planned, planned_then = _planned(step_run), _planned(earlier)
    if planned is not None and planned_then is not None:
        yield from _declared_otherwise(planned, planned_then)


def _declared_otherwise(now: PlanStep, then: PlanStep) -> Iterator[str]:
    for name in ("name", "materializer", "itemwise"):
        if [getattr(spec, name) for spec in now.node.outputs] != [getattr(spec, name) for spec in then.node.outputs]:
            yield f"its outputs' {'names' if name == 'name' else 'materializers' if name == 'materializer' else 'storage, item by item or whole,'} changed"
    if now.options.get("cache_key") != then.options.get("cache_key"):
        yield "cache_key= changed"


def _other_readings(now: Sequence[Mapping[str, Any]], then: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the step asked both times and was answered otherwise."""
    answers = {_question(reading): reading for reading in now}
    for before in then:
        after = answers.get(_question(before))
        if after is not None and after.get("answer") != before.get("answer"):
            yield describe(before)


def _question(reading: Mapping[str, Any]) -> str:
    return repr(sorted((name, value) for name, value in reading.items() if name not in ("answer", "stat")))


def _because(outcome: Mapping[str, Any], earlier: StepRun) -> str:
    then = earlier.outcome or {}
    if then.get("status") == Status.FAILED:
        return f"It failed in run {earlier.run.name}, so there was no result to take."
    if "key" not in then:
        return f"Caching was off in run {earlier.run.name}, so it left no result to take."
    if then.get("key") == outcome.get("key"):
        relied = [asked(reading) for reading in then.get("readings", ())]
        told = f", or what it had asked was answered otherwise: {', '.join(relied)}" if relied else ""
        return f"It is as it was in run {earlier.run.name}, but its result was not there any more, or caching was off{told}."
    return "Something else that counts has changed: the code of a materializer, or what cache_key= gave."


def _python(client: Client, run: Run) -> str:
    """Major and minor."""
    try:
        header = client.ledger.run(run.id).header() or {}
    except StoreError:
        return ""
    return ".".join(str(header.get("python", "")).split(".")[:2])


def _planned(step_run: StepRun) -> PlanStep | None:
    try:
        return step_run.planned
    except StoreError:
        return None  # the run's plan was damaged or moved aside


def _code(step_run: StepRun) -> Code | None:
    planned = _planned(step_run)
    return step_run.run.plan.codes.get(planned.code or "") if planned is not None else None
