"""Names of what a step run gives: filled from the run's start, and claimed by number in the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from dovetail.execution.work import RunInfo
from dovetail.planning.workspace import Workspace
from dovetail.values.graph import OutputSpec
from dovetail.values.names import fill
from dovetail.values.plan import PlanStep


def content_of(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output without its name and version."""
    return {name: value for name, value in output.items() if name not in ("artifact", "version")}


def named_output(
    workspace: Workspace, run: RunInfo, step: PlanStep, spec: OutputSpec, record: dict[str, Any], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Claim the next version of the output's artifact name; gives what the outcome records of it."""
    name = artifact_name(run, step, spec)
    said = {"metadata": dict(metadata)} if metadata else {}
    tags = {"tags": list(spec.tags)} if spec.tags else {}
    claim = {"digest": record["digest"], "run": run.run_id, "invocation": step.invocation, "output": spec.name, "at": time.time(), **tags}
    version = workspace.ledger.versions.claim_artifact(name, claim)
    return {"artifact": name, "version": version, **record, **said, **tags}


def artifact_name(run: RunInfo, step: PlanStep, spec: OutputSpec) -> str:
    """The name in the whole store; a child of a mapped step adds its number."""
    if spec.artifact is None:
        return f"{run.pipeline}.{step.invocation}.{spec.name}"
    name = filled("artifact", spec.artifact, run, step)
    child = step.invocation.rpartition(".")[2]
    return f"{name}.{child}" if child.isdecimal() and child != step.invocation else name


def filled(kind: str, template: str, run: RunInfo, step: PlanStep) -> str:
    """A name with its fields filled from the run's start and the substitutions of run and step."""
    if "{" not in template:
        return template
    moment = datetime.fromtimestamp(run.created, timezone.utc)
    return fill(kind, template, moment, {**run.substitutions, **step.options.get("substitutions", {})})
