"""Runs single steps as jobs of Vertex AI custom training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

from dovetail.components import Capability, Job, RunningJob, StepOperator
from dovetail.errors import ConfigurationError, StepFailed
from dovetail.values.settings import Resources
from dovetail_gcp.errors import GoogleError
from dovetail_gcp.vertex_images import image_for
from dovetail_gcp.vertex_jobs import VertexWorkers
from dovetail_gcp.vertex_running import RunningCustomJob, reached


class VertexStepOperator(VertexWorkers, StepOperator):
    """One CustomJob for each attempt of a step with `step_operator=True`, on the smallest machine that has what the step asks for.

    Workers run as `service_account`, which reads and writes the artifact store; secrets of the stack's components it reads in Secret Manager,
    where they lie as long as the job lasts.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.PARALLEL,
            Capability.REMOTE,
            Capability.RESOURCES,
            Capability.GPUS,
            Capability.GPU_TYPES,
            Capability.DISK,
            Capability.RETRIES,
            Capability.TIMEOUTS,
            Capability.ENVIRONMENT_VARIABLES,
            Capability.ENVIRONMENTS,
        }
    )
    runs_images: ClassVar[bool] = True

    image: str | None = field(default=None, metadata={"help": "Image for steps whose environment asks for nothing; one is built when not set."})
    poll_interval: float = field(default=5.0, metadata={"help": "Seconds between two looks at a job."})

    def default_image(self) -> str | None:
        return self.image

    def check(self) -> list[str]:
        return self._check_access("customJobs")

    def ill_fitting(self, resources: Resources, settings: Mapping[str, Any]) -> list[str]:
        """What of this no machine has."""
        try:
            asked = dataclasses.replace(self, **settings)
            asked.machine(resources)
            asked.disk(resources)
        except ConfigurationError as error:
            return [str(error)]
        return []

    def start(self, job: Job) -> RunningJob:
        asked = dataclasses.replace(self, **job.settings) if job.settings else self
        return asked.called(self.name, self.flavor)._start(job)  # type: ignore[attr-defined, no-any-return]

    def _start(self, job: Job) -> RunningJob:
        wanted = self.custom_job(job, self._image(job))
        what = f"Job {job.name}"
        try:
            with reached():
                found = self._running(job.name, what)
                if found is None:
                    self.hand_over(job)
                    found = self.vertex("POST", f"{self.parent()}/customJobs", what, wanted)
        except GoogleError as error:
            raise StepFailed(str(error)) from error
        return RunningCustomJob(self, found, self.poll_interval, handed=bool(job.secrets or job.credentials))

    def _running(self, name: str, what: str) -> dict[str, Any] | None:
        """The job of that name: who starts one again had lost the answer."""
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        found = self.vertex("GET", f"{self.parent()}/customJobs", what, params={"filter": f'display_name="{quoted}"', "pageSize": 1})
        return next(iter(found.get("customJobs", ())), None)

    def _image(self, job: Job) -> str:
        return image_for(job, self.image, googles=self.endpoint_url is None)
