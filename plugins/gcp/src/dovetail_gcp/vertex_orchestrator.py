"""Hands runs to Vertex AI Pipelines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, ClassVar

from dovetail.components import Capability, GraphOrchestrator, Job, JobGraph, RunningJob
from dovetail.errors import ConfigurationError, StepFailed
from dovetail.values.settings import Resources, Schedule
from dovetail.worker import read_store_address
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.labels import labels
from dovetail_gcp.vertex_client import VertexConnection
from dovetail_gcp.vertex_images import image_for
from dovetail_gcp.vertex_jobs import environment
from dovetail_gcp.vertex_pipeline import container, legal, limits, pipeline_spec
from dovetail_gcp.vertex_pipeline_running import RunningPipeline
from dovetail_gcp.vertex_running import reached

_LONGEST = 128  # characters of a name that is shown
_OF_A_STEP = frozenset({"accelerator_type", "accelerator_count", "variables", "python", "image"})  # what a step may set for itself
_FOLDER = "vertex-pipelines"
_ACTING = re.compile(r"act as|actAs", re.IGNORECASE)
_PATIENCE = 120.0  # seconds for a schedule to be deleted


class VertexOrchestrator(VertexConnection, GraphOrchestrator):
    """One PipelineJob for each run: a task for each step, in the order of the run's graph, which needs the submitter no more.

    Workers run as `service_account`, which reads and writes the artifact store. Who may see the project's pipelines sees their
    environment variables, so secrets are not put there: workers fetch them from the stack's secret store.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.PARALLEL,
            Capability.REMOTE,
            Capability.SCHEDULES,
            Capability.RESOURCES,
            Capability.GPUS,
            Capability.GPU_TYPES,
            Capability.RETRIES,
            Capability.TIMEOUTS,
            Capability.MAP,
            Capability.CONDITIONS,
            Capability.ENVIRONMENT_VARIABLES,
            Capability.ENVIRONMENTS,
        }
    )
    runs_images: ClassVar[bool] = True
    shows_variables: ClassVar[bool] = True

    pipeline_root: str | None = field(
        default=None, metadata={"help": "A gs:// folder for what the service itself keeps of runs; one in the artifact store's bucket when not set."}
    )
    service_account: str | None = field(default=None, metadata={"help": "Email of the account that workers run as; the project's own when not set."})
    network: str | None = field(default=None, metadata={"help": "A peered network, as projects/NUMBER/global/networks/NAME."})
    reserved_ip_ranges: list[str] = field(default_factory=list, metadata={"help": "Names of reserved ranges of that network."})
    network_attachment: str | None = field(
        default=None, metadata={"help": "A network attachment for Private Service Connect, instead of a peered network."}
    )
    encryption_key: str | None = field(default=None, metadata={"help": "A key of Cloud KMS, as projects/P/locations/L/keyRings/R/cryptoKeys/K."})
    preflight_validations: bool = field(default=False, metadata={"help": "Have the service check each component before it makes the job."})
    labels: dict[str, str] = field(default_factory=dict, metadata={"help": "More labels for what is made."})
    accelerator_type: str | None = field(default=None, metadata={"help": "Such as NVIDIA_L4; what the step's resources say when not set."})
    accelerator_count: int | None = field(default=None, metadata={"help": "How many of them; what the step's resources say when not set."})
    variables: dict[str, str] = field(default_factory=dict, metadata={"help": "Environment variables for every worker; no secrets."})
    python: str = field(default="python", metadata={"help": "The image's Python that has Dovetail."})
    image: str | None = field(default=None, metadata={"help": "Image for steps whose environment asks for nothing; one is built when not set."})
    poll_interval: float = field(default=5.0, metadata={"help": "Seconds between two looks at a run."})
    scheduled_at_once: int = field(default=1, metadata={"help": "How many runs of one schedule may run at the same time."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pipeline_root is not None and not self.pipeline_root.startswith("gs://"):
            raise ConfigurationError(f"`pipeline_root` is {self.pipeline_root!r}. Write it as gs://BUCKET/FOLDER.")
        if self.network is not None and self.network_attachment is not None:
            raise ConfigurationError("`network` and `network_attachment` are two ways into a network. Set one of them.")
        if self.scheduled_at_once < 1:
            raise ConfigurationError(f"`scheduled_at_once` is {self.scheduled_at_once}. Set it to 1 or more.")

    def default_image(self) -> str | None:
        return self.image

    def check(self) -> list[str]:
        return self._check_access("pipelineJobs")

    def ill_fitting(self, resources: Resources, settings: Mapping[str, Any]) -> list[str]:
        """What of this a task of a pipeline cannot have."""
        problems = [
            f"`{name}` is the whole run's on Vertex AI, and cannot be another for one step. Set it in the stack file."
            for name in sorted(set(settings) - _OF_A_STEP)
        ]
        try:
            asked = dataclasses.replace(self, **settings)
            limits(resources, asked.accelerator_type, asked.accelerator_count)
        except ConfigurationError as error:
            problems.append(str(error))
        return problems

    # -- runs ----------------------------------------------------------------------------------------------------------

    def start(self, graph: JobGraph) -> RunningJob:
        wanted, number, what = self.pipeline_job(graph), legal(graph.name), f"Pipeline run {graph.name}"
        try:
            with reached():
                found = self._created(wanted, number, what)
        except GoogleError as error:
            raise StepFailed(f"{error}{self._cure_of(error)}") from error
        return RunningPipeline(self, found, self.poll_interval)

    def _cure_of(self, error: GoogleError) -> str:
        """What the service's connection does not know: that somebody may run pipelines, and not as that account."""
        if error.kind is not Kind.DENIED or self.service_account is None or not _ACTING.search(str(error)):
            return ""
        return (
            f" Where it is `service_account` that you may not act as: `gcloud iam service-accounts add-iam-policy-binding {self.service_account} "
            f"--project={self.project_id()} --member={self._member()} --role=roles/iam.serviceAccountUser`."
        )

    def _created(self, wanted: Mapping[str, Any], number: str, what: str) -> dict[str, Any]:
        """The job of that id: where there is one already, an answer had been lost."""
        try:
            return self.vertex("POST", f"{self.parent()}/pipelineJobs", what, wanted, {"pipelineJobId": number}, again=True)
        except GoogleError as error:
            if error.status != 409:
                raise
        return self.vertex("GET", f"{self.parent()}/pipelineJobs/{number}", what)

    def find(self, address: str) -> RunningJob:
        return RunningPipeline(self, {"name": address.partition(" ")[0]}, self.poll_interval)

    def pipeline_job(self, graph: JobGraph) -> dict[str, Any]:
        """The PipelineJob that runs the graph. Raises ConfigurationError for what the service would refuse, and for secrets."""
        policy = "PIPELINE_FAILURE_POLICY_FAIL_SLOW" if graph.keep_going else "PIPELINE_FAILURE_POLICY_FAIL_FAST"
        asked: dict[str, Any] = {
            "displayName": graph.labels.get("dovetail.run-name", graph.name)[:_LONGEST],
            "pipelineSpec": pipeline_spec(graph, {job.name: self._container(job) for job in graph.jobs}),
            "runtimeConfig": {"gcsOutputDirectory": self._root(graph), "failurePolicy": policy}, "labels": labels(graph.labels, self.labels),
            "serviceAccount": self.service_account, "network": self.network, "reservedIpRanges": self.reserved_ip_ranges,
            "pscInterfaceConfig": {"networkAttachment": self.network_attachment} if self.network_attachment else None,
            "encryptionSpec": {"kmsKeyName": self.encryption_key} if self.encryption_key else None,
            "preflightValidations": self.preflight_validations,
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value}

    def _container(self, job: Job) -> dict[str, Any]:
        shown = [*job.secrets, *job.credentials]
        if shown:
            raise ConfigurationError(
                f"Job {job.name} is to be given the secret {shown[0]}, and whoever may see pipelines of Vertex AI sees what their tasks are given. "
                "Put it into a secret store of flavor `gcp` (`dovetail secret set`), from which workers fetch it by themselves."
            )
        at = dataclasses.replace(self, **job.settings) if job.settings else self
        image = image_for(job, at.image, googles=self.endpoint_url is None)
        given = environment({**at.variables, **job.variables}, job.name)
        return container(image, at.python, job.command, given, limits(job.resources, at.accelerator_type, at.accelerator_count))

    def _root(self, graph: JobGraph) -> str:
        """Where the service keeps what it writes itself of a run."""
        if self.pipeline_root is not None:
            return self.pipeline_root
        for part in graph.jobs[0].command if graph.jobs else ():
            bucket = _bucket_of(part)
            if bucket:
                return f"gs://{bucket}/{_FOLDER}"
        raise ConfigurationError(
            f"Orchestrator '{self.name}' knows no bucket for what Vertex AI keeps of runs, since the artifact store is none of flavor `gcs`. "
            "Set `pipeline_root`."
        )

    # -- schedules -----------------------------------------------------------------------------------------------------

    def schedule_problems(self, schedule: Schedule) -> list[str]:
        if schedule.overlap == "skip" or self.scheduled_at_once > 1:
            return []
        problem = (
            f"overlap={schedule.overlap!r} needs several runs of a schedule at a time, and orchestrator '{self.name}' (flavor {self.flavor}) lets "
            f"{self.scheduled_at_once}. Set `scheduled_at_once` to 2 or more: dovetail orchestrator update {self.name} --scheduled-at-once 2"
        )
        return [problem]

    def schedule(self, name: str, schedule: Schedule, graph: JobGraph) -> str:
        """What there is of that name and stack goes once the new one is there, so that there is always one."""
        job = self.pipeline_job(graph)
        wanted = {
            "displayName": name[:_LONGEST], "cron": f"TZ={schedule.timezone} {schedule.cron}", "maxConcurrentRunCount": str(self.scheduled_at_once),
            "createPipelineJobRequest": {"parent": self.parent(), "pipelineJob": job},
        }  # fmt: skip
        before = [str(found["name"]) for found in self._schedules(name, job["labels"])]
        address = str(self.vertex("POST", f"{self.parent()}/schedules", f"Schedule {name}", wanted)["name"])
        for each in before:
            self.unschedule(each)
        return address

    def _schedules(self, name: str, marks: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Those of that name which stand for the same pipeline on the same stack."""
        same = ("dovetail-pipeline", "dovetail-stack")
        for found in self.listed(f"{self.parent()}/schedules", "schedules", f"Schedule {name}", {"filter": f'display_name="{name}"'}):
            given = (found.get("createPipelineJobRequest") or {}).get("pipelineJob", {}).get("labels", {})
            if [given.get(mark) for mark in same] == [marks.get(mark) for mark in same]:
                yield found

    def unschedule(self, address: str) -> None:
        what = f"Schedule {address}"
        try:
            self.finished(self.vertex("DELETE", address, what), what, _PATIENCE)
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise


def _bucket_of(address: str) -> str:
    """The bucket of a run's address; empty for anything else."""
    try:
        flavor, configuration, _ = read_store_address(address)
    except ConfigurationError:
        return ""
    path = str(configuration.get("path", ""))
    return path.removeprefix("gs://").partition("/")[0] if flavor == "gcs" and path.startswith("gs://") else ""
