"""What SageMaker is asked for to run a job: the parts of CreateProcessingJob and CreateTrainingJob, which steps of its pipelines have too."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.components.job import Job
from dovetail.errors import ConfigurationError
from dovetail.worker import BEGINNING
from dovetail_aws.sagemaker_entry import PIECES, SECRETS, VARIABLE, packed
from dovetail_aws.sagemaker_instances import JobType, lacking, smallest
from dovetail_aws.sagemaker_runner import SageMakerRunner

ENTRY = "dovetail_aws.sagemaker_entry"
ARGUMENTS = 100  # and as many variables
ARGUMENT = 256  # characters
VALUE: Mapping[JobType, int] = {"processing": 256, "training": 512}  # characters of a variable, and of its name
TAGS = 50
LONGEST: Mapping[JobType, int] = {"processing": 777_600, "training": 2_419_200}  # seconds
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OF_ITS_ROLE = frozenset(
    {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """How a container is started: within the lengths that SageMaker takes, whatever those of the job's own texts."""

    entrypoint: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str]


def processing_request(options: SageMakerRunner, job: Job) -> dict[str, Any]:
    """CreateProcessingJob; without its name, the `Arguments` of a pipeline's step of type Processing."""
    worker = worker_of(options, job, "processing")
    return {
        "ProcessingJobName": job.name,
        "ProcessingResources": {"ClusterConfig": machine(options, job)},
        "AppSpecification": {"ImageUri": image_of(options, job), **_started(worker)},
        "Environment": dict(worker.environment),
        "RoleArn": options.role,
        "StoppingCondition": {"MaxRuntimeInSeconds": longest(options, job)},
        **({"NetworkConfig": {"VpcConfig": network(options)}} if options.subnets else {}),
        "Tags": tags(options, job.labels),
    }


def training_request(options: SageMakerRunner, job: Job) -> dict[str, Any]:
    """CreateTrainingJob; without its name, the `Arguments` of a pipeline's step of type Training."""
    worker = worker_of(options, job, "training")
    seconds = longest(options, job)
    stopping = {"MaxRuntimeInSeconds": seconds, **({"MaxWaitTimeInSeconds": seconds + options.spot_wait} if options.spot else {})}
    kept = {"KeepAlivePeriodInSeconds": options.keep_alive} if options.keep_alive is not None else {}
    output = {"S3OutputPath": options.output_path, **({"KmsKeyId": options.output_kms_key} if options.output_kms_key else {})}
    return {
        "TrainingJobName": job.name,
        "AlgorithmSpecification": {"TrainingImage": image_of(options, job), "TrainingInputMode": "File", **_started(worker), **_private(options)},
        "ResourceConfig": {**machine(options, job), **kept},
        "OutputDataConfig": output,
        "Environment": dict(worker.environment),
        "RoleArn": options.role,
        "StoppingCondition": stopping,
        **({"EnableManagedSpotTraining": True} if options.spot else {}),
        **({"VpcConfig": network(options)} if options.subnets else {}),
        "Tags": tags(options, job.labels),
    }


def request_of(options: SageMakerRunner, job: Job) -> dict[str, Any]:
    """By the job type of the options. Raises ConfigurationError for what SageMaker would refuse, before it is asked."""
    return processing_request(options, job) if options.job_type == "processing" else training_request(options, job)


def _started(worker: Worker) -> dict[str, Any]:
    return {"ContainerEntrypoint": list(worker.entrypoint), "ContainerArguments": list(worker.arguments)}


def machine(options: SageMakerRunner, job: Job) -> dict[str, Any]:
    key = {"VolumeKmsKeyId": options.volume_kms_key} if options.volume_kms_key else {}
    return {"InstanceCount": 1, "InstanceType": instance_type(options, job), "VolumeSizeInGB": volume_gb(options, job), **key}


def _private(options: SageMakerRunner) -> dict[str, Any]:
    return {"TrainingImageConfig": {"TrainingRepositoryAccessMode": "Vpc"}} if options.private_registry else {}


def network(options: SageMakerRunner) -> dict[str, Any]:
    return {"SecurityGroupIds": list(options.security_group_ids), "Subnets": list(options.subnets)}


def instance_type(options: SageMakerRunner, job: Job) -> str:
    if options.instance_type is None:
        return smallest(job.resources, options.job_type)
    problem = lacking(options.instance_type, job.resources, options.job_type)
    if problem is not None:
        raise ConfigurationError(f"Job {job.name}: {problem}")
    return options.instance_type


def volume_gb(options: SageMakerRunner, job: Job) -> int:
    return max(options.volume_gb, math.ceil((job.resources.disk_bytes or 0) / (1 << 30)))


def longest(options: SageMakerRunner, job: Job) -> int:
    """Seconds after which SageMaker stops it: later than the worker itself, which can say why."""
    seconds = options.max_runtime if job.timeout is None else math.ceil(job.timeout + BEGINNING)
    most = LONGEST[options.job_type]
    if seconds > most:
        raise ConfigurationError(
            f"Job {job.name} may run for {seconds} s, and SageMaker ends a {options.job_type} job after {most} s. Give it a shorter timeout."
        )
    return seconds


def image_of(options: SageMakerRunner, job: Job) -> str:
    image = job.image or options.image
    if image is None:
        raise ConfigurationError(
            f"Job {job.name} has no image. Add an image builder and an `ecr` container registry to the stack, or say Environment(image=…)."
        )
    problem = options.image_problem(image)
    if problem is not None:
        raise ConfigurationError(problem)
    return image


# -- texts within limits ---------------------------------------------------------------------------------------------------


def worker_of(options: SageMakerRunner, job: Job, job_type: JobType) -> Worker:
    handed = {name: value for name, value in job.credentials.items() if name not in _OF_ITS_ROLE}  # a job's role has credentials that are renewed
    secrets = {SECRETS: f"{options.place()}:{secret_name(job)}"} if kept_apart(options, job) else job.secrets
    variables = {**options.variables, **job.variables, **handed, **secrets}
    return Worker([options.python, "-m", ENTRY], _arguments(job), _environment(variables, VALUE[job_type], job.name))


def kept_apart(options: SageMakerRunner, job: Job) -> bool:
    """Whether the job has a secret of Secrets Manager, since what SageMaker knows of a job it shows, and keeps."""
    return bool(job.secrets) and options.secrets_in == "secrets_manager"


def secret_name(job: Job) -> str:
    return f"dovetail/jobs/{job.name}"


def _arguments(job: Job) -> list[str]:
    command = list(job.command)
    if len(command) <= ARGUMENTS and all(_plain(each, ARGUMENT) and "\n" not in each for each in command):
        return command
    pieces = [PIECES, *_pieces(packed(command), ARGUMENT)]
    if len(pieces) > ARGUMENTS:
        raise ConfigurationError(
            f"Job {job.name} has a command line of {sum(map(len, command))} characters, more than SageMaker takes even when it is packed. "
            "Shorten the configuration of the artifact store, which the run's address holds."
        )
    return pieces


def _environment(variables: Mapping[str, str], value: int, job: str) -> dict[str, str]:
    """What fits as it is, the rest in pieces; everything in pieces where there are too many."""
    fitting = {name: text for name, text in variables.items() if _NAME.fullmatch(name) and len(name) <= value and _plain(text, value)}
    for whole in (fitting, {}):
        rest = {name: text for name, text in variables.items() if name not in whole}
        pieces = _pieces(packed(rest), value) if rest else []
        if len(whole) + len(pieces) <= ARGUMENTS:
            return {**whole, **{f"{VARIABLE}{number}": piece for number, piece in enumerate(pieces)}}
    raise ConfigurationError(
        f"Job {job} has {len(variables)} environment variables and secrets of {sum(map(len, variables.values()))} characters in all, more than "
        f"SageMaker takes ({ARGUMENTS} of {value}) even when they are packed. Keep long ones in the artifact store, or in a secret."
    )


def _plain(text: str, longest: int) -> bool:
    """Whether it arrives as it is, however its length is counted."""
    return len(text) <= longest and text.isascii()


def _pieces(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


def tags(options: SageMakerRunner, labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Labels in the characters that tags may have, and the tags of the options, which count where both say something."""
    said = {_tag(name, 128): _tag(value, 256) for name, value in labels.items()}
    made = {**said, **options.tags}
    if len(made) > TAGS:
        raise ConfigurationError(
            f"There are {len(made)} tags, with those that say where a job comes from, and SageMaker takes {TAGS}. Leave some out of `tags`."
        )
    return [{"Key": name, "Value": value} for name, value in made.items()]


def _tag(text: str, longest: int) -> str:
    return re.sub(r"[^\w\s.:/=+\-@]", "_", text)[:longest]
