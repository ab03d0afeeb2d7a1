"""What pipelines of SageMaker are configured with, besides what their jobs are."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal

from dovetail.errors import ConfigurationError
from dovetail_aws.sagemaker_runner import SageMakerRunner


class SageMakerPipelineOptions(SageMakerRunner):
    secrets_in: ClassVar[Literal["secrets_manager"]] = "secrets_manager"  # type: ignore[misc]  # no field here: jobs get no secrets that one could say it of

    prefix: str = field(default="dovetail", metadata={"help": "What the names of pipelines and schedules begin with in SageMaker."})
    parallel_steps: int | None = field(default=None, metadata={"help": "How many jobs of a run SageMaker has at once; as many as can be when not set."})
    schedule_role: str | None = field(
        default=None, metadata={"help": "ARN of the role by which EventBridge Scheduler starts the pipeline; `role` when not set."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parallel_steps is not None and self.parallel_steps < 1:
            raise ConfigurationError(f"`parallel_steps` is {self.parallel_steps}. Set it to 1 or more, or leave it out.")
        if not self.prefix[:1].isalnum() or not self.prefix.replace("-", "").isalnum() or not self.prefix.isascii() or len(self.prefix) > 20:
            raise ConfigurationError(f"`prefix` is {self.prefix!r}. Make it of at most 20 letters, digits and '-', beginning with a letter or digit.")
