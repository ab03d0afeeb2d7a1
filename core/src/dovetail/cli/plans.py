"""A plan as a person reads it: what would run, what is cached, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import click

from dovetail.client.explaining import Explanation
from dovetail.values.plan import Decision, Plan, PlanStep, pinned

_COLOURS = {Decision.RUN: "yellow", Decision.CACHED: "green", Decision.LATER: "cyan", Decision.TAKEN: "green"}
_MOST_NAMES = 5
_MOST = 12  # differences shown of one step


def lines(plan: Plan, differences: Mapping[str, Explanation], problems: Sequence[str]) -> Iterator[str]:
    yield f"Pipeline '{plan.pipeline}' on stack '{plan.stack.get('name', '?')}'"
    width = max((len(step.invocation) for step in plan.steps), default=0)
    for step in plan.steps:
        yield from _step(step, width, differences.get(step.invocation))
    yield _counted(plan)
    yield from pinned(plan)
    yield from (f"Note: {note.rstrip('.')}." for note in (*_warnings(plan), *plan.notes))
    waived = plan.stack.get("waive") or ()
    if waived:
        yield f"Note: the stack leaves unhonoured what it waives: {', '.join(waived)}."
    if problems:
        yield f"It could not start; {len(problems)} problem{'s' if len(problems) > 1 else ''}:"
        yield from (f"  {number}. {problem}" for number, problem in enumerate(problems, 1))


def _step(step: PlanStep, width: int, explanation: Explanation | None) -> Iterator[str]:
    decision = click.style(f"{step.decision.value:<10}", fg=_COLOURS[step.decision])
    yield f"  {step.invocation:<{width}}  {decision}  {_why(step, explanation)}".rstrip()
    indent = " " * (width + 16)
    if step.image:
        yield f"{indent}in {step.image}"
    differing = explanation.differences if explanation is not None else ()
    yield from (f"{indent}- {line}" for line in differing[:_MOST])
    if len(differing) > _MOST:
        yield f"{indent}- and {len(differing) - _MOST} more"


def _warnings(plan: Plan) -> Iterator[str]:
    """Each once, with the steps that it is said of."""
    told: dict[str, list[str]] = {}
    for step in plan.steps:
        for warning in step.warnings:
            told.setdefault(warning, []).append(f"'{step.invocation}'")
    for warning, names in told.items():
        shown = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
        yield f"step{'s' if len(names) > 1 else ''} {shown}: {warning}"


def _why(step: PlanStep, explanation: Explanation | None) -> str:
    if explanation is None or not explanation.differences:
        return step.why
    then = f"since run {explanation.against}:"
    if step.decision is Decision.LATER:
        return f"{step.why}; changed already {then}"
    return f"changed {then}"


def _counted(plan: Plan) -> str:
    counts = {decision: sum(step.decision is decision for step in plan.steps) for decision in Decision}
    words = {
        Decision.RUN: "to run",
        Decision.CACHED: "cached",
        Decision.LATER: "decided while the run goes",
        Decision.TAKEN: "taken over",
    }
    said = ", ".join(f"{count} {words[decision]}" for decision, count in counts.items() if count)
    return f"{len(plan.steps)} step{'' if len(plan.steps) == 1 else 's'}: {said or 'none'}."
