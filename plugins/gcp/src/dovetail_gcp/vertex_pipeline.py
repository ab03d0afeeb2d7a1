"""A run as Vertex AI Pipelines takes it: its graph in the pipeline language of Kubeflow, one container for each job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.components.job import Job, JobGraph
from dovetail.errors import ConfigurationError
from dovetail.values.settings import Resources
from dovetail_gcp.vertex_machines import machine_spec

_SCHEMA = "2.1.0"
_COMPILER = "kfp-2.16.0"  # whose output has the same form
_LONGEST = 128
_MOST_CPUS, _MOST_MEMORY = 96, 624  # of one container; memory in GB
_MB = 10**6


def pipeline_spec(graph: JobGraph, containers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`containers`: what each job runs in, by its name, as `container` makes it. Nothing is cached by the service: the run has a cache of its own."""
    return {
        "pipelineInfo": {"name": legal(graph.pipeline)},
        "deploymentSpec": {"executors": {f"exec-{job.name}": {"container": dict(containers[job.name])} for job in graph.jobs}},
        "components": {f"comp-{job.name}": {"executorLabel": f"exec-{job.name}"} for job in graph.jobs},
        "root": {"dag": {"tasks": {job.name: _task(job) for job in graph.jobs}}},
        "schemaVersion": _SCHEMA,
        "sdkVersion": _COMPILER,
    }


def _task(job: Job) -> dict[str, Any]:
    made: dict[str, Any] = {
        "taskInfo": {"name": job.labels.get("dovetail.step", job.name)}, "componentRef": {"name": f"comp-{job.name}"}, "cachingOptions": {},
    }  # fmt: skip
    if job.after:
        made["dependentTasks"] = list(job.after)
    if job.retries:
        made["retryPolicy"] = {"maxRetryCount": job.retries, "backoffDuration": "0s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"}
    return made


def container(image: str, python: str, command: Sequence[str], env: Sequence[Mapping[str, str]], resources: Mapping[str, Any]) -> dict[str, Any]:
    """`env` and `resources` as the service takes them."""
    made: dict[str, Any] = {"image": image, "command": [python], "args": list(command)}
    if env:
        made["env"] = list(env)
    return {**made, "resources": resources} if resources else made


def limits(resources: Resources, accelerator_type: str | None = None, accelerator_count: int | None = None) -> dict[str, Any]:
    """What a container may use, from which the service chooses a machine. Raises ConfigurationError where it has none.

    The numbers are there twice, as numbers and as text, since readers of this language know the one or the other.
    """
    megabytes = -(-resources.memory_bytes // _MB) if resources.memory_bytes else 0
    if (resources.cpu or 0) > _MOST_CPUS or megabytes > _MOST_MEMORY * 1000:
        raise ConfigurationError(
            f"A container of a pipeline of Vertex AI has at most {_MOST_CPUS} cores and {_MOST_MEMORY} GB. Ask for less, or run the step by a "
            "step operator of flavor `vertex`: step_operator=True."
        )
    machine = machine_spec(resources, None, accelerator_type, accelerator_count)
    made: dict[str, Any] = {}
    if resources.cpu:
        made |= {"cpuLimit": float(resources.cpu), "resourceCpuLimit": f"{resources.cpu:g}"}
    if megabytes:
        made |= {"memoryLimit": megabytes / 1000, "resourceMemoryLimit": f"{megabytes}M"}
    if "acceleratorType" in machine:
        kind, count = machine["acceleratorType"], str(machine["acceleratorCount"])
        made["accelerator"] = {"type": kind, "count": count, "resourceType": kind, "resourceCount": count}
    return made


def legal(name: str) -> str:
    """As ids of pipelines and of their runs are: a letter first, then lower-case letters, digits and '-'."""
    said = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (said if said[:1].isalpha() else f"p-{said}")[:_LONGEST].rstrip("-")
