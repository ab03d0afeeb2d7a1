"""Jobs of SageMaker while they run: started once under their name, asked how they fare, stopped, and explained."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from typing import Any

from dovetail.components.job import Job, RunningJob
from dovetail_aws.sagemaker_instances import JobType, known
from dovetail_aws.sagemaker_requests import ENTRY, kept_apart, request_of, secret_name, tags
from dovetail_aws.sagemaker_runner import SageMakerRunner
from dovetail_aws.service_errors import Absent, AwsError, Taken, Unreachable, explained

_EXIT = re.compile(r"exit code:?\s*(\d+)", re.IGNORECASE)
_STOPPED = 143  # as of a process that was asked to end
_GONE = -1
_KILLED = 137
_SHOWN = 30  # lines of a log
_LONG_REASONS = ("CapacityError", "InsufficientCapacity")
_KINDS: dict[JobType, str] = {"processing": "ProcessingJob", "training": "TrainingJob"}


def started(options: SageMakerRunner, job: Job) -> RunningSageMakerJob:
    """The job of that name, made where there is none. Raises ConfigurationError before SageMaker is asked for what it could not do."""
    request = request_of(options, job)
    kind = _KINDS[options.job_type]
    running = RunningSageMakerJob(options, options.job_type, job.name)
    if kept_apart(options, job):
        running.secret = _put_secrets(options, job)
    try:
        with explained(options.where, f"job {job.name}"):
            made = getattr(options.service("sagemaker"), f"create_{options.job_type}_job")(**request)
    except Taken:
        made = running.described()
    except Unreachable:
        raise  # it may be there all the same, and need its secret
    except Exception:
        running.close()
        raise
    running.arn = made[f"{kind}Arn"]
    return running


def _put_secrets(options: SageMakerRunner, job: Job) -> str:
    """The name of the secret in which the job finds them."""
    name = secret_name(job)
    try:
        with explained(f"Secrets Manager in {options.place()}", f"secret '{name}'"):
            options.service("secretsmanager").create_secret(Name=name, SecretString=json.dumps(dict(job.secrets)), Tags=tags(options, job.labels))
    except Taken:
        return name  # of who asked for this job before, and lost the answer
    return name


class RunningSageMakerJob(RunningJob):
    def __init__(self, options: SageMakerRunner, job_type: JobType, name: str, arn: str = "") -> None:
        self._options = options
        self._type: JobType = job_type
        self._kind = _KINDS[job_type]
        self._name = name
        self._asked = time.monotonic()
        self._code: int | None = None
        self.arn = arn
        self.secret: str | None = None

    @property
    def address(self) -> str:
        return self.arn

    def described(self) -> dict[str, Any]:
        with explained(self._options.where, f"job {self._name}"):
            return dict(getattr(self._client, f"describe_{self._type}_job")(**self._named))

    def wait(self, seconds: float) -> int | None:
        until = time.monotonic() + seconds
        while self._code is None:
            due = self._asked + self._options.poll
            time.sleep(max(0.0, min(due, until) - time.monotonic()))
            if due > until:
                return None
            self._asked = time.monotonic()
            self._code = self._ended()
        return self._code

    def _ended(self) -> int | None:
        try:
            found = self.described()
        except Absent:
            return _GONE
        status = found[f"{self._kind}Status"]
        if status == "Completed":
            return 0
        if status == "Stopped":
            return _STOPPED
        if status != "Failed":
            return None
        said = _EXIT.findall(f"{found.get('FailureReason', '')} {found.get('ExitMessage', '')}")
        return int(said[-1]) if said else 1

    def stop(self) -> None:
        try:
            with explained(self._options.where, f"job {self._name}"):
                getattr(self._client, f"stop_{self._type}_job")(**self._named)
        except Absent:
            return
        except Unreachable:
            raise
        except AwsError:  # so it says of one that has ended, or is being stopped
            if self.described()[f"{self._kind}Status"] == "InProgress":
                raise

    def explain(self) -> str:
        try:
            found = self.described()
        except Absent:
            return "SageMaker does not know the job any more."
        said = self._said()
        parts = [self._cause(found), f"It said last:\n{said}" if said else ""]
        if f"No module named '{ENTRY.partition('.')[0]}'" in said or f"Error while finding module specification for '{ENTRY}'" in said:
            parts.append("\ndovetail-aws is not installed in the image. Install it there, or leave the image out, so that one is built.")
        return " ".join(part for part in parts if part)

    def close(self) -> None:
        """The job's secret is needed no more; where it cannot be deleted it stays, and says by its tags whose it was."""
        if self.secret is not None:
            with suppress(AwsError), explained(f"Secrets Manager in {self._options.place()}", f"secret '{self.secret}'"):
                self._options.service("secretsmanager").delete_secret(SecretId=self.secret, ForceDeleteWithoutRecovery=True)
            self.secret = None

    def _cause(self, found: dict[str, Any]) -> str:
        reason = str(found.get("FailureReason") or "").strip().rstrip(".")
        text = f"SageMaker says: {reason}." if reason else ""
        if self._ended() == _KILLED:
            machine = self._machine(found)
            known_machine = known(machine)
            has = f" of {known_machine.memory_gib} GiB" if known_machine else ""
            return f"{text} It was killed, as for want of memory on {machine}{has}. Ask for more: Resources(memory=…).".strip()
        if any(each in reason for each in _LONG_REASONS):
            return f"{text} Try again later, or ask for another `instance_type`."
        if "image" in reason.lower():
            problem = self._options.image_problem(self._image(found))
            return f"{text} {problem or 'Allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer on its repository to `role`.'}"
        return text

    def _machine(self, found: dict[str, Any]) -> str:
        place = found.get("ResourceConfig") or found.get("ProcessingResources", {}).get("ClusterConfig", {})
        return str(place.get("InstanceType", "its machine"))

    def _image(self, found: dict[str, Any]) -> str:
        said = found.get("AppSpecification") or found.get("AlgorithmSpecification") or {}
        return str(said.get("ImageUri") or said.get("TrainingImage") or "")

    def _said(self) -> str:
        """The end of its log; what may not be read is not said."""
        group = f"/aws/sagemaker/{self._kind}s"
        try:
            with explained(f"CloudWatch in {self._options.place()}", f"the log of job {self._name}"):
                logs = self._options.service("logs")
                streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{self._name}/")["logStreams"]
                events = []
                for stream in streams:
                    asked = {"logGroupName": group, "logStreamName": stream["logStreamName"], "limit": _SHOWN, "startFromHead": False}
                    events += logs.get_log_events(**asked)["events"]
        except Absent:
            return ""
        except AwsError as error:
            return str(error)
        return "\n".join(event["message"].rstrip("\n") for event in events[-_SHOWN:])

    @property
    def _client(self) -> Any:
        return self._options.service("sagemaker")

    @property
    def _named(self) -> dict[str, str]:
        return {f"{self._kind}Name": self._name}
