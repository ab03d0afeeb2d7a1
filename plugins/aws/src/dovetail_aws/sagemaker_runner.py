"""How SageMaker runs steps: what its jobs are configured with, whether singly or in its pipelines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dovetail.components.component import Capability
from dovetail.components.runner import Runner
from dovetail.errors import ConfigurationError, ImageError
from dovetail_aws.connection import AwsConnection
from dovetail_aws.sagemaker_images import ecr_problem

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/\S+")


class SageMakerRunner(AwsConnection, Runner):
    """A job's container has the credentials of `role`, which are renewed; those of who submits are not handed to it."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.PARALLEL, Capability.REMOTE, Capability.RESOURCES, Capability.GPUS, Capability.GPU_TYPES, Capability.DISK,
            Capability.RETRIES, Capability.TIMEOUTS, Capability.ENVIRONMENT_VARIABLES, Capability.ENVIRONMENTS,
        }
    )  # fmt: skip
    runs_images: ClassVar[bool] = True

    role: str = field(metadata={"help": "ARN of the role that the jobs have, as arn:aws:iam::123456789012:role/dovetail."})
    job_type: Literal["processing", "training"] = field(
        default="processing", metadata={"help": "Which of SageMaker's jobs run steps; training jobs can be spot ones and keep machines warm."}
    )
    instance_type: str | None = field(
        default=None, metadata={"help": "The machine, as ml.m5.xlarge; by default the smallest that has the resources that a step asks for."}
    )
    volume_gb: int = field(default=30, metadata={"help": "Size of the machine's disk in GB; more where a step asks for more."})
    max_runtime: int = field(default=86_400, metadata={"help": "Seconds after which a job is stopped whose step has no timeout."})
    image: str | None = field(default=None, metadata={"help": "Image for steps whose environment asks for nothing; one is built when not set."})
    python: str = field(default="python", metadata={"help": "The image's Python that has Dovetail."})
    variables: dict[str, str] = field(default_factory=dict, metadata={"help": "Environment variables for every job."})
    secrets_in: Literal["secrets_manager", "environment"] = field(
        default="secrets_manager",
        metadata={"help": "How jobs get secrets: by one of Secrets Manager that lasts as long as the job, or for all to see who may describe it."},
    )
    subnets: list[str] = field(default_factory=list, metadata={"help": "Ids of the VPC's subnets that jobs run in; outside of a VPC when not set."})
    security_group_ids: list[str] = field(default_factory=list, metadata={"help": "Ids of the jobs' security groups; they go with `subnets`."})
    volume_kms_key: str | None = field(default=None, metadata={"help": "Id or ARN of the KMS key for the machine's disk."})
    tags: dict[str, str] = field(default_factory=dict, metadata={"help": "Tags for every job, besides those that say where it comes from."})
    spot: bool = field(default=False, metadata={"help": "Training jobs on spare machines, which are cheaper and may be taken away."})
    spot_wait: int = field(default=3600, metadata={"help": "Seconds to wait for spare machines, besides those that a job may run."})
    keep_alive: int | None = field(
        default=None, metadata={"help": "Seconds for which a training job's machine is kept warm for the next one that is alike, up to 3600."}
    )
    output_path: str | None = field(
        default=None, metadata={"help": "Where training jobs put what is left in /opt/ml, as s3://bucket/prefix; they have to have one."}
    )
    output_kms_key: str | None = field(default=None, metadata={"help": "Id or ARN of the KMS key for what training jobs put at `output_path`."})
    private_registry: bool = field(default=False, metadata={"help": "Training jobs pull images from a registry in the VPC in place of ECR."})
    poll: float = field(default=5.0, metadata={"help": "Seconds between two questions how a job fares."})

    def __post_init__(self) -> None:
        super().__post_init__()
        problem = next(_problems(self), None)
        if problem is not None:
            raise ConfigurationError(problem)

    def default_image(self) -> str | None:
        return self.image

    def shares_folders(self) -> bool:
        return False

    def versions_in(self, image: str) -> Mapping[str, str] | None:
        """What an image holds cannot be told from here; that SageMaker could not pull it can."""
        problem = self.image_problem(image)
        if problem is not None:
            raise ImageError(problem)
        return None

    def image_problem(self, image: str) -> str | None:
        """Why SageMaker could not pull an image, where its name tells."""
        return None if self.private_registry else ecr_problem(image, self.place())

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """This one with other fields, for one job."""
        if not settings:
            return self
        made = dataclasses.replace(self, **settings)
        made.called(self.name, self.flavor)
        if not set(settings) & {each.name for each in dataclasses.fields(AwsConnection)}:
            made._clients, made._locks = self._clients, self._locks
        return made

    @property
    def where(self) -> str:
        """The service, for messages."""
        return f"SageMaker in {self.place() or 'no region'}" + (f" at {self.endpoint_url}" if self.endpoint_url else "")

    def place(self) -> str | None:
        """The region, once it is known."""
        from botocore.exceptions import BotoCoreError

        if "_place" not in self.__dict__:
            try:
                self._place = self.region_name()
            except BotoCoreError:  # whoever makes a client says so
                return None
        found: str | None = self._place
        return found


def _problems(options: SageMakerRunner) -> Iterator[str]:
    training = options.job_type == "training"
    if not _ROLE.fullmatch(options.role):
        yield f"`role` is {options.role!r}. Write it as arn:aws:iam::123456789012:role/NAME; `aws iam list-roles` shows them."
    if options.instance_type is not None and not options.instance_type.startswith("ml."):
        yield f"`instance_type` is {options.instance_type!r}. SageMaker's begin with ml., as ml.{options.instance_type}."
    for name in ("spot", "keep_alive", "private_registry"):
        if getattr(options, name) not in (False, None) and not training:
            yield f"`{name}` is for training jobs alone. Set `job_type: training` too."
    if training and not (options.output_path or "").startswith("s3://"):
        yield "Training jobs need an `output_path`. Set it to s3://bucket/prefix; steps' own outputs go to the artifact store all the same."
    if options.output_kms_key and not training:
        yield "`output_kms_key` is for training jobs alone; what steps return is encrypted as the artifact store says. Leave it out."
    if options.spot and options.keep_alive:
        yield "`spot` and `keep_alive` do not go together: machines that are kept warm are no spare ones. Leave one of them out."
    if options.keep_alive is not None and not 0 <= options.keep_alive <= 21_600:
        yield f"`keep_alive` is {options.keep_alive}. Set it to a number of seconds from 0 to 21600."
    if bool(options.subnets) != bool(options.security_group_ids):
        yield "`subnets` and `security_group_ids` go together. Set both, or neither."
    if options.private_registry and not options.subnets:
        yield "`private_registry` is one in a VPC. Set `subnets` and `security_group_ids` too."
    if options.volume_gb < 1 or options.max_runtime < 1 or options.poll <= 0 or options.spot_wait < 0:
        yield "`volume_gb` and `max_runtime` are 1 or more, `spot_wait` is 0 or more and `poll` above 0. Correct what is not."
    reserved = [name for name in options.tags if name.lower().startswith("aws:") or len(name) > 128]
    if reserved:
        yield f"`tags` has {reserved[0]!r}. A tag's name has at most 128 characters and does not begin with aws:."
