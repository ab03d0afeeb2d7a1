"""What SageMaker's pipelines are asked for: the definition of a graph of jobs, as JSON of schema version 2020-12-01."""

from __future__ import annotations

import json
import re
from typing import Any

from dovetail.components.job import Job, JobGraph
from dovetail.errors import ConfigurationError
from dovetail_aws.sagemaker_entry import GO_ON, RETRIES
from dovetail_aws.sagemaker_pipeline_options import SageMakerPipelineOptions
from dovetail_aws.sagemaker_requests import ARGUMENTS, request_of, tags

LONGEST = 1_048_576  # characters of a definition
_NAME = 256
_STEP_TYPES = {"processing": ("Processing", "AppSpecification"), "training": ("Training", "AlgorithmSpecification")}
_LOST = ("SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT")
_MOST_ATTEMPTS = 20  # that a retry policy may have
_PAUSE = 30  # seconds before the first of them
_OF_JOBS = ("dovetail.run", "dovetail.run-name")  # labels that differ from run to run


def definition_text(options: SageMakerPipelineOptions, graph: JobGraph) -> str:
    """Raises ConfigurationError for what a step of a pipeline cannot honour, before anything is asked."""
    text = json.dumps(definition_of(options, graph), separators=(",", ":"))
    if len(text) > LONGEST:
        raise ConfigurationError(
            f"The definition of pipeline '{graph.pipeline}' has {len(text)} characters, and SageMaker takes {LONGEST}. Make it of fewer steps: "
            "map one step over a list, or split the pipeline."
        )
    return text


def definition_of(options: SageMakerPipelineOptions, graph: JobGraph) -> dict[str, Any]:
    steps = [_step(options, job, keep_going=graph.keep_going) for job in graph.jobs]
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "PipelineExperimentConfig": None, "Steps": steps}


def _step(options: SageMakerPipelineOptions, job: Job, *, keep_going: bool) -> dict[str, Any]:
    _refuse_secrets(job)
    own = options.with_settings(job.settings)
    kind, started = _STEP_TYPES[own.job_type]
    arguments = request_of(own, job)
    del arguments[f"{kind}JobName"]  # SageMaker gives each attempt a name of its own
    wanted = [*([RETRIES, str(job.retries)] if job.retries else []), *([GO_ON] if keep_going else [])]
    arguments[started]["ContainerArguments"] = [*wanted, *arguments[started]["ContainerArguments"]]
    if len(arguments[started]["ContainerArguments"]) > ARGUMENTS:
        raise ConfigurationError(f"Job {job.name} has a command line of more than {ARGUMENTS} arguments. Shorten the configuration of the artifact store.")
    return {
        "Name": job.name,
        "Type": kind,
        "DisplayName": job.labels.get("dovetail.step", job.name),
        "Arguments": arguments,
        **({"DependsOn": list(job.after)} if job.after else {}),
        **({"RetryPolicies": [_retry_policy(job.retries)]} if job.retries else {}),
    }


def _retry_policy(retries: int) -> dict[str, Any]:
    """For machines that were lost. A worker that was lost is started again by the container's first process, which the service would not do."""
    return {"ExceptionType": list(_LOST), "IntervalSeconds": _PAUSE, "BackoffRate": 2.0, "MaxAttempts": min(retries, _MOST_ATTEMPTS)}


def _refuse_secrets(job: Job) -> None:
    if job.secrets:
        raise ConfigurationError(
            f"Job {job.name} would have secrets in its variables, and a pipeline's definition is shown to everybody who may describe it. "
            "Keep them in a secret store that the workers can reach, as flavor `aws`."
        )


def pipeline_name(options: SageMakerPipelineOptions, wanted: str) -> str:
    """In the characters that SageMaker takes; its pipelines of one prefix are told apart by it."""
    slug = re.sub(r"[^a-zA-Z0-9]+", "-", f"{options.prefix}-{wanted}").strip("-")
    return slug[:_NAME].rstrip("-") or "dovetail"


def pipeline_tags(options: SageMakerPipelineOptions, graph: JobGraph) -> list[dict[str, str]]:
    """Those of a pipeline, which all its runs share."""
    return tags(options, {name: value for name, value in graph.labels.items() if name not in _OF_JOBS and not name.startswith("dovetail.tag.")})
