"""Pipelines of SageMaker: kept under their name, started once for each graph, and asked how an execution fares."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from dovetail.components.job import JobGraph, RunningJob
from dovetail_aws.sagemaker_instances import JobType
from dovetail_aws.sagemaker_jobs import RunningSageMakerJob
from dovetail_aws.sagemaker_pipeline import definition_text, pipeline_name, pipeline_tags
from dovetail_aws.sagemaker_pipeline_options import SageMakerPipelineOptions
from dovetail_aws.service_errors import Absent, AwsError, Denied, Taken, Unreachable, explained

_CODES = {"Succeeded": 0, "Failed": 1, "CompletedWithFailures": 1, "Stopped": 143}
_GONE = -1
_LOOKED_AT = 100  # newest executions among which one may be that was started and not told of
_JOBS: dict[str, JobType] = {"ProcessingJob": "processing", "TrainingJob": "training"}


def started(options: SageMakerPipelineOptions, graph: JobGraph) -> RunningExecution:
    """The execution of that graph, made where there is none.

    One pipeline of SageMaker's for each of Dovetail's; each run makes a version of it and starts that very version, so that of two who submit at
    once none starts what the other wrote.
    """
    definition = definition_text(options, graph)
    name = pipeline_name(options, graph.pipeline)
    found = _execution(options, name, graph.name)
    if found is None:
        version = kept(options, name, definition, graph)
        found = _begun(options, name, graph, version)
    return RunningExecution(options, found)


def kept(options: SageMakerPipelineOptions, name: str, definition: str, graph: JobGraph) -> int | None:
    """The version of the pipeline that has this definition; None where the service counts none."""
    asked = {"PipelineName": name, "PipelineDefinition": definition, "RoleArn": options.role, "PipelineDescription": _described(graph), **_parallel(options)}
    try:
        return _updated(options, asked, graph)
    except Absent:
        return _created(options, asked, graph)


def _updated(options: SageMakerPipelineOptions, asked: dict[str, Any], graph: JobGraph) -> int | None:
    with explained(options.where, f"pipeline {asked['PipelineName']}"):
        made = options.service("sagemaker").update_pipeline(**asked)
        if options.tags:
            options.service("sagemaker").add_tags(ResourceArn=made["PipelineArn"], Tags=pipeline_tags(options, graph))
    version: int | None = made.get("PipelineVersionId")
    return version


def _created(options: SageMakerPipelineOptions, asked: dict[str, Any], graph: JobGraph) -> int | None:
    name = asked["PipelineName"]
    try:
        with explained(options.where, f"pipeline {name}"):
            client = options.service("sagemaker")
            client.create_pipeline(**asked, ClientRequestToken=token("create", name, graph.name), Tags=pipeline_tags(options, graph))
            versions = client.list_pipeline_versions(PipelineName=name, SortOrder="Ascending", MaxResults=1)["PipelineVersionSummaries"]
    except Taken:
        return _updated(options, asked, graph)
    return int(versions[0]["PipelineVersionId"]) if versions else _updated(options, asked, graph)


def _begun(options: SageMakerPipelineOptions, name: str, graph: JobGraph, version: int | None) -> str:
    asked = {"PipelineName": name, "PipelineExecutionDisplayName": graph.name, "ClientRequestToken": token("start", name, graph.name), **_parallel(options)}
    try:
        with explained(options.where, f"pipeline {name}"):
            made = options.service("sagemaker").start_pipeline_execution(**asked, **({} if version is None else {"PipelineVersionId": version}))
    except Denied:
        raise
    except AwsError:  # as of a token that came with another version before: it has been started, and its answer was lost
        found = _execution(options, name, graph.name)
        if found is None:
            raise
        return found
    return str(made["PipelineExecutionArn"])


def _execution(options: SageMakerPipelineOptions, pipeline: str, called: str) -> str | None:
    """ARN of the execution that was started under that name."""
    try:
        with explained(options.where, f"executions of pipeline {pipeline}"):
            listed = options.service("sagemaker").list_pipeline_executions(
                PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", MaxResults=_LOOKED_AT
            )
    except Absent:
        return None
    arns = (each["PipelineExecutionArn"] for each in listed["PipelineExecutionSummaries"] if each.get("PipelineExecutionDisplayName") == called)
    return next(arns, None)


def token(*said: str) -> str:
    """Of 64 characters; the same for who asks again for the same."""
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _described(graph: JobGraph) -> str:
    return f"Pipeline {graph.pipeline} of Dovetail"[:3072]


def _parallel(options: SageMakerPipelineOptions) -> dict[str, Any]:
    return {} if options.parallel_steps is None else {"ParallelismConfiguration": {"MaxParallelExecutionSteps": options.parallel_steps}}


class RunningExecution(RunningJob):
    def __init__(self, options: SageMakerPipelineOptions, arn: str) -> None:
        self._options = options
        self._arn = arn
        self._asked = 0.0
        self._code: int | None = None

    @property
    def address(self) -> str:
        return self._arn

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
            return _CODES.get(self._described()["PipelineExecutionStatus"])
        except Absent:
            return _GONE

    def stop(self) -> None:
        try:
            with self._explained():
                self._client.stop_pipeline_execution(PipelineExecutionArn=self._arn, ClientRequestToken=token("stop", self._arn))
        except Absent:
            return
        except (Denied, Unreachable):
            raise
        except AwsError:  # so it says of one that has ended, or is being stopped
            if self._described()["PipelineExecutionStatus"] == "Executing":
                raise

    def explain(self) -> str:
        try:
            reason = str(self._described().get("FailureReason") or "").strip().rstrip(".")
        except Absent:
            return "SageMaker does not know the execution any more."
        parts = [f"SageMaker says: {reason}." if reason else ""]
        try:
            failed = [each for each in self._steps() if each.get("FailureReason") or each.get("StepStatus") == "Failed"]
            parts += [*(_said_of(each) for each in failed), self._job_of(failed[0]) if failed else ""]
        except AwsError as error:  # who may not look at its steps
            parts.append(str(error))
        return "\n".join(part for part in parts if part)

    def _steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            with self._explained():
                listed = self._client.list_pipeline_execution_steps(PipelineExecutionArn=self._arn, SortOrder="Ascending", MaxResults=100, **more)
            found += listed["PipelineExecutionSteps"]
            if not listed.get("NextToken"):
                return found
            more = {"NextToken": listed["NextToken"]}

    def _job_of(self, step: dict[str, Any]) -> str:
        """What the job of a failed step tells, and the end of its log."""
        for kind, job_type in _JOBS.items():
            arn = step.get("Metadata", {}).get(kind, {}).get("Arn")
            if arn:
                return RunningSageMakerJob(self._options, job_type, arn.rpartition("/")[2], arn).explain()
        return ""

    def _described(self) -> dict[str, Any]:
        with self._explained():
            return dict(self._client.describe_pipeline_execution(PipelineExecutionArn=self._arn))

    def _explained(self) -> Any:
        return explained(self._options.where, f"execution {self._arn}")

    @property
    def _client(self) -> Any:
        return self._options.service("sagemaker")


def _said_of(step: dict[str, Any]) -> str:
    called = step.get("StepDisplayName") or step["StepName"]
    return f"Step {called}: {str(step.get('FailureReason') or 'it failed').strip().rstrip('.')}."
