"""Planning again from what a run recorded: to resume it, or to drive it in another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.errors import ConfigurationError, NotFound
from dovetail.execution.importing import definition_of, use_package
from dovetail.graph.tracing import Live, Traced
from dovetail.ledger.ledger import Ledger
from dovetail.planning.package import Kept
from dovetail.planning.planner import Planner, Request
from dovetail.planning.workspace import Workspace
from dovetail.values.graph import Graph
from dovetail.values.imports import load_object
from dovetail.values.plan import Plan, Status


def recorded_plan(ledger: Ledger, run_id: str) -> Plan:
    """Raises NotFound where the store has no such run."""
    records = ledger.run(run_id)
    if records.header() is None:
        raise NotFound("run", run_id, (), f"It is not in artifact store '{ledger.store.name}'; choose its stack with --stack.")
    return records.plan()


def plan_to_resume(run_id: str, workspace: Workspace) -> Plan:
    """A new run's plan that takes over what the ended run committed, with the code that the run kept.

    Raises ConfigurationError for a run that still goes on, that completed, or whose steps no process can import.
    """
    records = workspace.ledger.run(run_id)
    old = recorded_plan(workspace.ledger, run_id)
    finished = records.finished()
    if finished is None:
        raise ConfigurationError(f"Run {old.run_name} ({run_id}) has not ended; wait for it, or cancel it: dovetail runs cancel {run_id}.")
    if finished["status"] in ("completed", "cached"):
        raise ConfigurationError(f"Run {old.run_name} ({run_id}) has completed, so there is nothing to resume.")
    use_package(workspace.ledger.records, old.package, old.root)
    named = [step.invocation for step in old.steps]
    taken = {name: outcome for name in named if (outcome := committed_before(workspace.ledger, run_id, name)) is not None}
    live = Live()
    for step in old.steps:
        definition = definition_of(step)
        live.definitions[step.invocation] = replace(definition, options=replace(definition.options, **_key_options(step.options)))
        live.materializers.update({spec.materializer: load_object(spec.materializer) for spec in step.node.outputs if spec.materializer})
    nodes = tuple(step.node for step in old.steps)
    graph = Graph(old.pipeline, nodes, old.source, old.parameters, {**old.options, "model": None} if not old.options.get("model") else old.options)
    kept = Kept(old.package, old.code) if old.code is not None else None
    versions = workspace.ledger.versions
    pins = {key: number for key, number in old.pins.items() if versions.model(key.rpartition("@")[0], number) is not None}
    request = Request(tags=(), resumes=run_id, taken=taken, kept=kept, pins=pins)
    return replace(Planner(workspace, Traced(graph, live), request).plan(), scheduled_for=old.scheduled_for)


def committed_before(ledger: Ledger, run_id: str | None, invocation: str) -> Mapping[str, Any] | None:
    """What an ended run, or one that it had resumed, completed of a step, if its artifacts are there; they are noted as used from now on."""
    while run_id is not None:
        records = ledger.run(run_id)
        outcome = records.outcome(invocation)
        if outcome is not None and Status(outcome["status"]).is_success and _is_present(ledger, outcome):
            return outcome
        run_id = (records.header() or {}).get("resumes")
    return None


def _is_present(ledger: Ledger, outcome: Mapping[str, Any]) -> bool:
    return all(ledger.artifacts.present(output["digest"]) for output in outcome.get("outputs", {}).values())


def _key_options(options: Mapping[str, Any]) -> dict[str, Any]:
    chosen = options.get("cache_key")
    if not isinstance(chosen, dict):
        return {}
    return {"cache_key": load_object(str(chosen["function"])) if "function" in chosen else chosen["value"]}
