"""SageMaker's pipelines on loopback: keeps definitions in versions, and carries out the very definition that it received, job by job."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sagemaker_service import ACCOUNT, REGION, Held, Refused, SageMakerService, limited, model

_LOOK = 0.05
_REQUESTS = {"Processing": "CreateProcessingJobRequest", "Training": "CreateTrainingJobRequest"}
_STEP_FIELDS = {"Name", "Type", "DisplayName", "Arguments", "DependsOn", "RetryPolicies"}
_POLICY_FIELDS = {"ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin"}


@dataclass
class Step:
    definition: dict[str, Any]
    status: str = ""
    failure: str = ""
    attempts: int = 0
    held: Held | None = None

    @property
    def name(self) -> str:
        return str(self.definition["Name"])

    def told(self) -> dict[str, Any]:
        job = {} if self.held is None else {"Metadata": {f"{self.held.kind}Job": {"Arn": self.held.arn}}}
        failed = {"FailureReason": self.failure} if self.failure else {}
        return {"StepName": self.name, "StepDisplayName": self.definition["DisplayName"], "StepStatus": self.status, "AttemptCount": self.attempts, **job, **failed}


@dataclass
class Execution:
    arn: str
    request: dict[str, Any]
    definition: str
    steps: list[Step]
    most: int
    status: str = "Executing"
    began: float = field(default_factory=time.time)
    stopping: bool = False

    def ready(self) -> list[Step]:
        done = {step.name for step in self.steps if step.status == "Succeeded"}
        return [step for step in self.steps if not step.status and set(step.definition.get("DependsOn", ())) <= done]

    def running(self) -> list[Step]:
        return [step for step in self.steps if step.status == "Executing"]

    def failed(self) -> list[Step]:
        return [step for step in self.steps if step.status == "Failed"]


class PipelineService(SageMakerService):
    """`goes_on`: whether it starts what does not depend on a failed step. `losing`: how many of the next machines are to be lost."""

    def __init__(self, moto: int, engine: Any = None, volumes: Any = ()) -> None:
        super().__init__(moto, engine, volumes)
        self.pipelines: dict[str, list[dict[str, Any]]] = {}
        self.executions: dict[str, Execution] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.goes_on = True
        self.losing = 0
        self._lost: set[str] = set()

    # -- pipelines -----------------------------------------------------------------------------------------------------

    def CreatePipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if request["PipelineName"] in self.pipelines:
                raise Refused(
                    "ValidationException",
                    f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({request['PipelineName']}) already exists.",
                )
            checked(request["PipelineDefinition"])
            self.pipelines[request["PipelineName"]] = [request]
            self.tags[arn_of(request["PipelineName"])] = {each["Key"]: each["Value"] for each in request.get("Tags", ())}
        return {"PipelineArn": arn_of(request["PipelineName"])}

    def UpdatePipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            versions = self._versions(request)
            checked(request["PipelineDefinition"])
            versions.append(request)
            return {"PipelineArn": arn_of(request["PipelineName"]), "PipelineVersionId": len(versions)}

    def DescribePipeline(self, request: dict[str, Any]) -> dict[str, Any]:
        newest = self._versions(request)[-1]
        return {"PipelineArn": arn_of(request["PipelineName"]), **{name: newest[name] for name in ("PipelineName", "PipelineDefinition", "RoleArn")}}

    def ListPipelines(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"PipelineSummaries": []}

    def ListPipelineVersions(self, request: dict[str, Any]) -> dict[str, Any]:
        numbers = range(1, len(self._versions(request)) + 1)
        return {"PipelineVersionSummaries": [{"PipelineArn": arn_of(request["PipelineName"]), "PipelineVersionId": number} for number in numbers]}

    def AddTags(self, request: dict[str, Any]) -> dict[str, Any]:
        self.tags[request["ResourceArn"]].update({each["Key"]: each["Value"] for each in request["Tags"]})
        return {"Tags": request["Tags"]}

    def _versions(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        found = self.pipelines.get(request["PipelineName"])
        if found is None:
            raise Refused("ResourceNotFound", f"Pipeline '{arn_of(request['PipelineName'])}' does not exist.")
        return found

    # -- executions ----------------------------------------------------------------------------------------------------

    def StartPipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            versions = self._versions(request)
            for known in self.executions.values():
                if known.request["ClientRequestToken"] == request["ClientRequestToken"]:
                    if known.request != request:
                        raise Refused("ConflictException", "The ClientRequestToken was used with other parameters.")
                    return {"PipelineExecutionArn": known.arn}
            version = versions[request.get("PipelineVersionId", len(versions)) - 1]
            made = self._made(request, version)
        threading.Thread(target=self.carry_out, args=(made,), daemon=True).start()
        return {"PipelineExecutionArn": made.arn}

    def _made(self, request: dict[str, Any], version: dict[str, Any]) -> Execution:
        arn = f"{arn_of(request['PipelineName'])}/execution/{len(self.executions):012d}"
        parallel = request.get("ParallelismConfiguration") or version.get("ParallelismConfiguration") or {}
        steps = [Step(each) for each in json.loads(version["PipelineDefinition"])["Steps"]]
        made = self.executions[arn] = Execution(arn, request, version["PipelineDefinition"], steps, parallel.get("MaxParallelExecutionSteps", 50))
        return made

    def DescribePipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._execution(request)
        failed = {"FailureReason": f"Step failure: One or multiple steps failed: {[step.name for step in found.failed()]}"} if found.failed() else {}
        ended = {"PipelineExecutionDisplayName": found.request["PipelineExecutionDisplayName"], "PipelineExecutionStatus": found.status}
        return {"PipelineExecutionArn": found.arn, "PipelineArn": found.arn.partition("/execution")[0], "CreationTime": found.began, **ended, **failed}

    def DescribePipelineDefinitionForExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"PipelineDefinition": self._execution(request).definition}

    def ListPipelineExecutions(self, request: dict[str, Any]) -> dict[str, Any]:
        self._versions(request)
        found = [each for each in self.executions.values() if each.request["PipelineName"] == request["PipelineName"]]
        told = [{"PipelineExecutionArn": each.arn, "PipelineExecutionDisplayName": each.request["PipelineExecutionDisplayName"]} for each in reversed(found)]
        return {"PipelineExecutionSummaries": told[: request.get("MaxResults", 10)]}

    def ListPipelineExecutionSteps(self, request: dict[str, Any]) -> dict[str, Any]:
        first = int(request.get("NextToken", 0))
        started = [step for step in self._execution(request).steps if step.status]
        more = {"NextToken": str(first + 2)} if len(started) > first + 2 else {}
        return {"PipelineExecutionSteps": [step.told() for step in started[first : first + 2]], **more}

    def StopPipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._execution(request)
        with self._lock:
            if found.status != "Executing":
                raise Refused("ValidationException", f"Pipeline execution with ARN {found.arn} is in status {found.status}. Cannot be stopped.")
            found.stopping, found.status = True, "Stopping"
            if self._engine is None:
                found.status = "Stopped"
        return {"PipelineExecutionArn": found.arn}

    def _execution(self, request: dict[str, Any]) -> Execution:
        found = self.executions.get(request["PipelineExecutionArn"])
        if found is None:
            raise Refused("ResourceNotFound", f"Pipeline execution '{request['PipelineExecutionArn']}' does not exist.")
        return found

    # -- carrying out --------------------------------------------------------------------------------------------------

    def carry_out(self, execution: Execution) -> None:
        if self._engine is None:
            return
        while True:
            startable = execution.ready() if not execution.stopping and (self.goes_on or not execution.failed()) else []
            for step in startable[: execution.most - len(execution.running())]:
                self._begin_step(execution, step)
            if not execution.running():
                break
            for step in execution.running():
                self._look_at(execution, step)
            time.sleep(_LOOK)
        execution.status = "Stopped" if execution.stopping else "Failed" if execution.failed() else "Succeeded"

    def _begin_step(self, execution: Execution, step: Step) -> None:
        step.attempts += 1
        step.status = "Executing"
        kind = step.definition["Type"]
        name = f"pipelines-{execution.arn[-12:]}-{step.name[:30].strip('-')}-{step.attempts}"
        step.held = self.begin(kind, {**step.definition["Arguments"], f"{kind}JobName": name})

    def _look_at(self, execution: Execution, step: Step) -> None:
        held = step.held
        assert held is not None
        if self.losing and held.container is not None and held.status == "InProgress":
            self.losing -= 1
            self._lost.add(held.name)
            with suppress(Exception):  # it has ended by itself
                held.container.kill()
        if execution.stopping and held.status == "InProgress" and not held.stopping:
            with suppress(Refused):
                self._stop(held)
        if held.status in ("Completed", "Failed", "Stopped"):
            self._ended(execution, step, held)

    def _ended(self, execution: Execution, step: Step, held: Held) -> None:
        lost = held.name in self._lost
        step.failure = "" if held.status == "Completed" else "InternalServerError: We encountered an internal error." if lost else f"ClientError: {held.failure}"
        policies = [each for each in step.definition.get("RetryPolicies", ()) if "SageMaker.JOB_INTERNAL_ERROR" in each["ExceptionType"]]
        if lost and policies and step.attempts <= policies[0]["MaxAttempts"]:
            self._begin_step(execution, step)
        else:
            step.status = {"Completed": "Succeeded", "Stopped": "Stopped"}.get(held.status, "Failed")


def arn_of(pipeline: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{pipeline.lower()}"


def checked(text: str) -> dict[str, Any]:
    """As the service does when a definition comes: what is in it, names, order, and each step's request within the limits of the model."""
    definition: dict[str, Any] = json.loads(text)
    if definition["Version"] != "2020-12-01" or set(definition) - {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "Steps"}:
        raise Refused("ValidationException", "Unable to parse pipeline definition.")
    names: set[str] = set()
    for step in definition["Steps"]:
        if set(step) - _STEP_FIELDS or step["Type"] not in _REQUESTS:
            raise Refused("ValidationException", f"Unable to parse pipeline definition: {sorted(set(step) - _STEP_FIELDS)} of type {step['Type']}")
        limited("StepName", step["Name"], "Name")
        if step["Name"] in names or not set(step.get("DependsOn", ())) <= names:
            raise Refused("ValidationException", f"Step {step['Name']} is there twice, or depends on what is not there.")
        names.add(step["Name"])
        if any(set(policy) - _POLICY_FIELDS or not 1 <= policy["MaxAttempts"] <= 20 for policy in step.get("RetryPolicies", ())):
            raise Refused("ValidationException", "Unable to parse retry policies.")
        kind = step["Type"]
        limited(_REQUESTS[kind], {**step["Arguments"], f"{kind}JobName": "one"}, step["Name"])
    return definition


def knows_versions() -> bool:
    """Whether the installed client does, as the orchestrator requires."""
    return "PipelineVersionId" in model()["shapes"]["StartPipelineExecutionRequest"]["members"]
