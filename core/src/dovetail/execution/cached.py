"""What becomes of a step whose result is taken from the cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from dovetail.execution.attempt import make_tracker
from dovetail.execution.naming import artifact_name, content_of, named_output
from dovetail.execution.scope import with_artifacts
from dovetail.execution.work import RunInfo
from dovetail.planning.workspace import Workspace
from dovetail.values.context import StepRun
from dovetail.values.graph import OutputSpec
from dovetail.values.plan import PlanStep, Status

_log = logging.getLogger("dovetail")


def cached_outcome(
    workspace: Workspace, run: RunInfo, step: PlanStep, inputs: Mapping[str, Any], key: str | None, entry: Mapping[str, Any]
) -> dict[str, Any]:
    now = time.time()
    kept = {name: entry[name] for name in ("params", "metrics", "metadata", "model_metadata") if name in entry}
    source = {"run": entry["run"], "run_name": entry.get("run_name"), "invocation": entry["invocation"]}
    return {
        "status": Status.CACHED.value, "started": now, "ended": now, "inputs": dict(inputs), "outputs": _versions_of(workspace, run, step, entry),
        "key": key, "code": step.code, "cached": source, **kept,
    }  # fmt: skip


def _versions_of(workspace: Workspace, run: RunInfo, step: PlanStep, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry's outputs with versions that count under this run's names: the newest if it is the same, else a new one."""
    counts = workspace.ledger.cache.is_committed(entry)
    outputs = {}
    for spec in step.node.outputs:
        output = entry["outputs"][spec.name]
        if not counts or output.get("artifact") != artifact_name(run, step, spec):
            output = _version_of(workspace, run, step, spec, content_of(output))
        outputs[spec.name] = output
    return outputs


def _version_of(workspace: Workspace, run: RunInfo, step: PlanStep, spec: OutputSpec, content: dict[str, Any]) -> dict[str, Any]:
    name = artifact_name(run, step, spec)
    number, newest = next(workspace.ledger.versions.artifacts(name), (0, None))
    if newest is not None and newest["digest"] == content["digest"]:
        return {**content, "artifact": name, "version": number}
    bare = {key: value for key, value in content.items() if key not in ("metadata", "tags")}
    return named_output(workspace, run, step, spec, bare, content.get("metadata", {}))


def mirror_again(workspace: Workspace, info: RunInfo, step: PlanStep, outcome: Mapping[str, Any]) -> None:
    """Tell the tracker what a cached step logged when it ran, marked as cached."""
    if "experiment_tracker" not in workspace.stack.components or not (outcome.get("params") or outcome.get("metrics")):
        return
    run = StepRun(
        info.run_id, info.run_name, info.pipeline, step.invocation, step.node.step, tags=info.tags, stack=info.stack["name"],
        prepared=info.prepared.get("experiment_tracker"), status=Status.CACHED.value,
    )  # fmt: skip
    try:
        tracker = make_tracker(workspace, step)
        if tracker is None:
            return
        tracker.start(run)
        tracker.log_params(outcome.get("params", {}))
        for name, points in outcome.get("metrics", {}).items():
            for value, number, _ in points:
                tracker.log_metrics({name: value}, number)
        tracker.finish(with_artifacts(run, workspace.ledger, outcome["inputs"], outcome["outputs"]))
    except Exception as error:  # whatever a vendor's client raises; the record has it all
        _log.warning("The experiment tracker failed for cached step '%s': %s", step.invocation, error)
