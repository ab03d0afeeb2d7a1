"""What one worker is to Vertex AI: the settings of its machine, and the CustomJob that asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from dovetail.components.job import Job
from dovetail.errors import ConfigurationError
from dovetail.values.settings import Resources
from dovetail_gcp.handed_secrets import BEGIN, PLACE, hand_over, place_of
from dovetail_gcp.labels import labels
from dovetail_gcp.vertex_client import VertexConnection
from dovetail_gcp.vertex_machines import FAMILIES, machine_spec

_PLAIN = frozenset({"GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"})  # what is said of credentials, and is none
_ON_THE_SUBMITTER = frozenset({"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GOOGLE_API_CERTIFICATE_CONFIG"})  # paths of files there
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPANDED = re.compile(r"\$+(?=\()|\${2,}")
_MOST_VARIABLES = 100
_SMALLEST_DISK, _LARGEST_DISK = 100, 64000  # GB, as the service has it
_GIB = 2**30


class VertexWorkers(VertexConnection):
    """What workers on Vertex AI are given besides a step's own settings. A step may set each of these for itself."""

    machine_type: str | None = field(
        default=None, metadata={"help": "Such as n2-standard-8; the smallest that fits a step's resources when not set."}
    )
    families: list[str] = field(default_factory=lambda: list(FAMILIES), metadata={"help": "Machine families to choose from, such as [n2, g2]."})
    accelerator_type: str | None = field(default=None, metadata={"help": "Such as NVIDIA_L4; what the step's resources say when not set."})
    accelerator_count: int | None = field(default=None, metadata={"help": "How many of them; what the step's resources say when not set."})
    boot_disk_type: Literal["pd-ssd", "pd-standard", "hyperdisk-balanced"] = field(default="pd-ssd", metadata={"help": "The kind of the boot disk."})
    boot_disk_gb: int = field(
        default=_SMALLEST_DISK, metadata={"help": "Size of the boot disk, from 100 on; larger where a step asks for more disk."}
    )
    service_account: str | None = field(
        default=None, metadata={"help": "Email of the account that workers run as; the project's own for custom code when not set."}
    )
    network: str | None = field(default=None, metadata={"help": "A peered network, as projects/NUMBER/global/networks/NAME."})
    reserved_ip_ranges: list[str] = field(default_factory=list, metadata={"help": "Names of reserved ranges of that network."})
    network_attachment: str | None = field(
        default=None, metadata={"help": "A network attachment for Private Service Connect, instead of a peered network."}
    )
    encryption_key: str | None = field(default=None, metadata={"help": "A key of Cloud KMS, as projects/P/locations/L/keyRings/R/cryptoKeys/K."})
    spot: bool = field(default=False, metadata={"help": "Run on Spot machines, which cost less and may be taken away."})
    queue_for: float | None = field(
        default=None, metadata={"help": "Seconds to queue for machines that are not free (Flex Start), instead of failing."}
    )
    persistent_resource: str | None = field(default=None, metadata={"help": "Id of a persistent resource to run on, whose machines are up already."})
    tensorboard: str | None = field(
        default=None, metadata={"help": "A Tensorboard instance that logs go to, as projects/P/locations/L/tensorboards/ID."}
    )
    base_output: str | None = field(default=None, metadata={"help": "A gs:// folder that workers find in AIP_MODEL_DIR and its siblings."})
    web_access: bool = field(default=False, metadata={"help": "Let people open a shell in running workers."})
    labels: dict[str, str] = field(default_factory=dict, metadata={"help": "More labels for what is made."})
    variables: dict[str, str] = field(default_factory=dict, metadata={"help": "Environment variables for every worker."})
    python: str = field(default="python", metadata={"help": "The image's Python that has Dovetail."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _SMALLEST_DISK <= self.boot_disk_gb <= _LARGEST_DISK:
            raise ConfigurationError(f"`boot_disk_gb` is {self.boot_disk_gb}; give a number from {_SMALLEST_DISK} to {_LARGEST_DISK}.")
        unknown = sorted(set(self.families) - set(FAMILIES))
        if unknown:
            raise ConfigurationError(f"`families` names {unknown[0]!r}; those that are chosen from are {', '.join(FAMILIES)}.")
        if self.spot and self.queue_for is not None:
            raise ConfigurationError("`spot` and `queue_for` are two ways to get machines. Set one of them.")
        if self.network is not None and self.network_attachment is not None:
            raise ConfigurationError("`network` and `network_attachment` are two ways into a network. Set one of them.")
        if self.tensorboard is not None and self.service_account is None:
            raise ConfigurationError("`tensorboard` needs a `service_account` that may write to it. Set it too.")

    def machine(self, resources: Resources) -> dict[str, Any]:
        """The MachineSpec for a step. Raises ConfigurationError where none fits."""
        return machine_spec(resources, self.machine_type, self.accelerator_type, self.accelerator_count, self.families)

    def disk(self, resources: Resources) -> dict[str, Any]:
        """The DiskSpec for a step, whose own disk comes on top of what the smallest one is for."""
        asked = _SMALLEST_DISK + -(-resources.disk_bytes // _GIB) if resources.disk_bytes else 0
        if asked > _LARGEST_DISK:
            raise ConfigurationError(f"A boot disk of {asked} GB is asked for, and the largest is {_LARGEST_DISK}. Ask for less disk.")
        return {"bootDiskType": self.boot_disk_type, "bootDiskSizeGb": max(self.boot_disk_gb, asked)}

    def custom_job(self, job: Job, image: str) -> dict[str, Any]:
        """The CustomJob that runs a worker once. Raises ConfigurationError for what the service would refuse. See `hand_over`."""
        container = {"imageUri": image, **self.worker(job)}
        pool = {"machineSpec": self.machine(job.resources), "replicaCount": "1", "diskSpec": self.disk(job.resources), "containerSpec": container}
        made: dict[str, Any] = {
            "displayName": job.name, "jobSpec": {"workerPoolSpecs": [pool], "scheduling": self.scheduling(job.timeout), **self._place()},
            "labels": labels(job.labels, self.labels),
        }  # fmt: skip
        return {**made, "encryptionSpec": {"kmsKeyName": self.encryption_key}} if self.encryption_key else made

    def worker(self, job: Job) -> dict[str, Any]:
        """`command`, `args` and `env` of the worker's container."""
        variables, hidden = self._variables(job)
        if not hidden:
            return {"command": [self.python], "args": list(job.command), "env": environment(variables, job.name)}
        variables[PLACE] = place_of(self, job.name)
        return {"command": [self.python], "args": ["-c", BEGIN, *job.command], "env": environment(variables, job.name)}

    def hand_over(self, job: Job) -> None:
        """Put what is to show nowhere where the worker of `custom_job` finds it; called before that is submitted."""
        hidden = self._variables(job)[1]
        if hidden:
            hand_over(self, job.name, hidden, labels(job.labels, self.labels), job.timeout)

    def _variables(self, job: Job) -> tuple[dict[str, str], dict[str, str]]:
        """Those that all may see who see the job, and the others."""
        handed = {name: value for name, value in job.credentials.items() if name not in _ON_THE_SUBMITTER}
        hidden = {**{name: value for name, value in handed.items() if name not in _PLAIN}, **job.secrets}
        shown = {**self.variables, **job.variables, **{name: value for name, value in handed.items() if name in _PLAIN}}
        return shown, hidden

    def scheduling(self, timeout: float | None) -> dict[str, Any]:
        """Attempts are the run's own affair, so the service makes one. `timeout`: in seconds."""
        made: dict[str, Any] = {"disableRetries": True}
        if timeout is not None:
            made["timeout"] = duration(timeout)
        if self.spot:
            made["strategy"] = "SPOT"
        if self.queue_for is not None:
            made |= {"strategy": "FLEX_START", "maxWaitDuration": duration(self.queue_for)}
        return made

    def _place(self) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "serviceAccount": self.service_account, "network": self.network, "reservedIpRanges": self.reserved_ip_ranges,
            "pscInterfaceConfig": {"networkAttachment": self.network_attachment} if self.network_attachment else None,
            "persistentResourceId": self.persistent_resource, "tensorboard": self.tensorboard, "enableWebAccess": self.web_access,
            "baseOutputDirectory": {"outputUriPrefix": self.base_output} if self.base_output else None,
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value}


def environment(variables: Mapping[str, str], name: str) -> list[dict[str, str]]:
    """As the service takes it. It expands `$(NAME)`, which is not meant here."""
    odd = [each for each in variables if not _NAME.fullmatch(each)]
    if odd:
        raise ConfigurationError(f"Job {name} is to have the environment variable {odd[0]!r}, which is no name for Vertex AI: letters, digits and _.")
    if len(variables) > _MOST_VARIABLES:
        raise ConfigurationError(f"Job {name} is to have {len(variables)} environment variables; Vertex AI takes {_MOST_VARIABLES} of them.")
    return [{"name": each, "value": escaped(value)} for each, value in variables.items()]


def escaped(text: str) -> str:
    """Every `$` that could be read as more than itself, twice."""
    return _EXPANDED.sub(lambda found: found[0] * 2, text)


def duration(seconds: float) -> str:
    return f"{max(1, -(-seconds // 1)):.0f}s"
