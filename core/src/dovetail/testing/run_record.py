"""What a run's record says, without what differs from run to run: to compare runs of one pipeline on two stacks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.client.views import Artifact, Run, StepRun
from dovetail.planning.keys import references
from dovetail.planning.readings import asked
from dovetail.values.artifacts import Manifest
from dovetail.values.plan import Status

_WARNING = re.compile(r".*:\d+: \w*Warning: ")
_PLANNED = ("retry", "timeout", "resources", "environment", "isolated", "settings", "enable_cache", "tags")


@dataclass
class Values:
    """Artifacts whose bytes say nothing, because their materializer is not deterministic: each by the mark that stands for its digest.

    `runs`: those that count, each by a name that is no chance.
    """

    marks: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, Any] = field(default_factory=dict)

    def mark_of(self, artifact: Artifact, step: StepRun, output: str) -> str:
        """The digest, or what stands for it."""
        if artifact.digest not in self.marks:
            if _is_certain(artifact, artifact.manifest):
                return artifact.digest
            self.marks[artifact.digest] = f"the value of {step.name}.{output} in {self.runs[step.run.id]}"
            self.loaded[self.marks[artifact.digest]] = artifact.load()
        return self.marks[artifact.digest]


def _is_certain(artifact: Artifact, manifest: Manifest) -> bool:
    items = (Artifact(artifact.query, item) for item in manifest.items or ())
    return manifest.deterministic and all(_is_certain(item, item.manifest) for item in items)


def described(run: Run, values: Values | None = None) -> dict[str, Any]:
    """Status, lineage, artifacts, cache keys and settings of a run. What `values` has a mark for, is named by it."""
    known = values or Values()
    known.runs.setdefault(run.id, "this run")
    return {
        "status": run.status,
        "pipeline": run.pipeline,
        "parameters": run.parameters,
        "tags": run.tags,
        "models": run.models,
        "steps": {name: _step(step, known) for name, step in run.steps.items()},
        "error": run.error,
    }


def _step(step: StepRun, values: Values) -> dict[str, Any]:
    outcome = step.outcome or {}
    outputs = {name: _output(step, name, output, values) for name, output in step.outputs.items()}
    inputs = {name: sorted(values.marks.get(digest, digest) for digest in references(given)) for name, given in outcome.get("inputs", {}).items()}
    marked = any(digest in values.marks.values() for digests in inputs.values() for digest in digests)
    return {
        "status": step.status,
        "inputs": inputs,
        "parameters": step.parameters,
        "outputs": outputs,
        "key": outcome.get("key") if not marked else "of what it takes",
        "params": step.params,
        "metrics": {name: [(value, number) for value, number, _ in step.metric_history(name)] for name in step.metrics},
        "metadata": step.metadata,
        "error": (step.error["type"], step.error["message"]) if step.error is not None else None,
        "why": step.why,
        "children": [child.name for child in step.children],
        "attempts": step.attempts,
        "settings": _settings(step),
        "readings": sorted({asked(reading) for reading in outcome.get("readings", ()) if not os.path.isabs(reading.get("path", ""))}),
        "log": _log(step) if step.status is Status.COMPLETED else None,  # a failure's shows where the code lies
    }


def _log(step: StepRun) -> list[str]:
    """What it printed, without Python's warnings, which show where the code lies."""
    lines = step.log().splitlines()
    warned = [number for number, line in enumerate(lines) if _WARNING.match(line)]
    quoted = [number + 1 for number in warned if number + 1 < len(lines) and lines[number + 1].startswith("  ")]
    return [line for number, line in enumerate(lines) if number not in {*warned, *quoted}]


def _output(step: StepRun, name: str, output: Artifact, values: Values) -> dict[str, Any]:
    digest = values.mark_of(output, step, name)
    return {
        "digest": digest,
        "size": output.size if digest == output.digest else None,
        "name": output.name,
        "version": output.version,
        "type": output.type,
        "kind": output.kind,
        "metadata": output.metadata,
        "tags": output.tags,
        "visualizations": dict(output.visualizations),
        "consumers": sorted(f"{taker.name} in {values.runs[taker.run.id]}" for taker in output.consumers if taker.run.id in values.runs),
    }


def _settings(step: StepRun) -> Mapping[str, Any]:
    planned = step.planned.options if step.planned is not None else {}
    return {name: planned[name] for name in _PLANNED if name in planned}


def started_behind(run: Run) -> dict[str, list[str]]:
    """The steps that started before something that they take, or wait for, had ended."""
    times = {name: step.outcome for name, step in run.steps.items() if step.outcome is not None}
    early = {
        step.invocation: [above for above, _ in step.node.upstream() if times[above]["ended"] > times[step.invocation]["started"]]
        for step in run.plan.steps
    }
    return {name: above for name, above in early.items() if above}


def failed_as_asked(step: StepRun, error: str, *, attempts: int | None = None) -> bool:
    """Whether the step failed with an error of that type, after so many attempts where that is asked."""
    seen = step.error["type"] if step.error is not None else None
    return (step.status, seen, step.attempts) == (Status.FAILED, error, step.attempts if attempts is None else attempts)
