"""A mapped step: one child for each item of a list, and one list of what they gave."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dovetail.execution.naming import named_output
from dovetail.execution.work import RunInfo
from dovetail.planning.workspace import Workspace
from dovetail.values.plan import PlanStep, Status


def items_of(workspace: Workspace, resolved: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An input for each item of a resolved list: a parameter's values, or the artifacts of a list."""
    if "list" in resolved:
        return list(resolved["list"])
    if "value" in resolved:
        return [{"value": item} for item in resolved["value"]]
    artifacts = workspace.ledger.artifacts
    manifest = artifacts.get(resolved["artifact"])
    if manifest.items is None:  # a list that was stored whole, because it came from elsewhere: its items become artifacts
        return [{"artifact": artifacts.save(item)[0]} for item in artifacts.load(resolved["artifact"])]
    return [{"artifact": item} for item in manifest.items]


def gathered_outcome(workspace: Workspace, run: RunInfo, step: PlanStep, children: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the children's outcomes, by name and in order, make of their parent."""
    status = _gathered({Status(child["status"]) for child in children.values()})
    now = time.time()
    started = min((child["started"] for child in children.values()), default=now)
    outcome: dict[str, Any] = {"status": status.value, "started": started, "ended": now, "inputs": {}, "outputs": {}, "children": list(children)}
    if not status.is_success:
        return outcome
    for spec in step.node.outputs:
        kept, manifest = workspace.ledger.artifacts.save_items([child["outputs"][spec.name]["digest"] for child in children.values()])
        size = sum(child["outputs"][spec.name]["size"] for child in children.values())
        record = {"digest": kept, "type": manifest.type, "size": size, "kind": manifest.artifact_type}
        outcome["outputs"][spec.name] = named_output(workspace, run, step, spec, record, {})
    return outcome


def _gathered(statuses: set[Status]) -> Status:
    for bad in (Status.CANCELLED, Status.INTERRUPTED, Status.FAILED, Status.SKIPPED):
        if bad in statuses:
            return bad
    return Status.CACHED if statuses == {Status.CACHED} else Status.COMPLETED
