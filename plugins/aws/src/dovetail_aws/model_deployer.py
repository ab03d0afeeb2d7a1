"""Serves a model by an endpoint of SageMaker."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import ConfigurationError, DeploymentError, DovetailError, near
from dovetail.values.encoding import Json
from dovetail_aws.connection import AwsConnection
from dovetail_aws.service_errors import Absent, AwsError, Taken, Unreachable, explained

if TYPE_CHECKING:
    from dovetail_aws.artifact_store import S3ArtifactStore

VARIANT = "AllTraffic"
_SETTINGS = ("image", "instance_type", "startup_timeout", "variables")
_LOG_LINES = 30  # shown in an error
_LOG = "/aws/sagemaker/Endpoints"
_LONGEST_HEALTH_CHECK = 3600
_STATES = {
    "InService": DeploymentStatus.RUNNING, "Updating": DeploymentStatus.RUNNING, "SystemUpdating": DeploymentStatus.RUNNING,
    "RollingBack": DeploymentStatus.RUNNING, "Creating": DeploymentStatus.STARTING, "Deleting": DeploymentStatus.STOPPED,
}  # fmt: skip


class SageMakerModelDeployer(AwsConnection, ModelDeployer):
    """An endpoint of the deployment's name; deploying it again updates the endpoint, which answers all the while.

    The image has to be one whose ENTRYPOINT is `python -m dovetail_aws.sagemaker_serving`, with what the model needs.
    A deployment may set `image`, `instance_type`, `startup_timeout` and `variables` for itself.
    """

    role: str = field(metadata={"help": "ARN of the role that the model's containers have, as arn:aws:iam::123456789012:role/dovetail."})
    image: str = field(metadata={"help": "The image that serves, in ECR and in this region."})
    model_path: str = field(metadata={"help": "Where models are put for the endpoints, as s3://bucket/prefix."})
    instance_type: str = field(default="ml.m5.large", metadata={"help": "The machine of each replica."})
    serverless_memory: int | None = field(
        default=None, metadata={"help": "Serve without machines of one's own, with so many MB of memory: 1024 to 6144 in steps of 1024."}
    )
    serverless_concurrency: int = field(default=5, metadata={"help": "Requests that are answered at once where there are no machines of one's own."})
    variables: dict[str, str] = field(default_factory=dict, metadata={"help": "Environment variables for the containers."})
    subnets: list[str] = field(default_factory=list, metadata={"help": "Ids of the VPC's subnets for containers; outside of a VPC when not set."})
    security_group_ids: list[str] = field(default_factory=list, metadata={"help": "Ids of the containers' security groups; they go with `subnets`."})
    kms_key: str | None = field(default=None, metadata={"help": "Id or ARN of the KMS key for the machines' disks and for what is at `model_path`."})
    tags: dict[str, str] = field(default_factory=dict, metadata={"help": "Tags for models and endpoints."})
    startup_timeout: int = field(default=1800, metadata={"help": "Seconds until the endpoint has to serve; a machine takes minutes to come."})
    poll: float = field(default=5.0, metadata={"help": "Seconds between two questions how an endpoint fares."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"s3://[^/]+(/.*)?", self.model_path):
            raise ConfigurationError(f"`model_path` is {self.model_path!r}. Write it as s3://bucket/prefix.")
        if bool(self.subnets) != bool(self.security_group_ids):
            raise ConfigurationError("`subnets` and `security_group_ids` go together. Set both, or neither.")
        if self.serverless_memory is not None and (self.subnets or self.serverless_memory not in range(1024, 6145, 1024)):
            raise ConfigurationError("`serverless_memory` is 1024 to 6144 in steps of 1024, and goes without `subnets`. Correct it, or leave it out.")

    # -- starting ------------------------------------------------------------------------------------------------------

    def start(self, deployment: Deployment) -> dict[str, Json]:
        from dovetail_aws.sagemaker_serving import description

        options = self._with(deployment)
        endpoint, made = _endpoint_name(deployment.name), secrets.token_hex(6)
        name = f"{endpoint[:50].rstrip('-')}-{made}"
        handle: dict[str, Json] = {
            "name": deployment.name, "endpoint": endpoint, "config": name, "model": made, "since": int(time.time() * 1000),
            "url": f"{self._runtime_address()}/endpoints/{endpoint}/invocations",
        }  # fmt: skip
        try:
            options._upload(deployment, made, description(deployment))
            options._make(deployment, name, made)
            created = options._serve(endpoint, name)
            options._wait(deployment.name, handle, created=created)
        except BaseException:
            self._forget(handle)
            raise
        return handle

    def _runtime_address(self) -> str:
        """Amazon's own, also where this machine takes another way."""
        with self._asking("endpoints"):
            return str(dataclasses.replace(self, endpoint_url=None).service("sagemaker-runtime").meta.endpoint_url)

    def _with(self, deployment: Deployment) -> SageMakerModelDeployer:
        for setting in deployment.settings:
            if setting not in _SETTINGS:
                raise DeploymentError(
                    f"Deployment '{deployment.name}' sets '{setting}', which the sagemaker model deployer does not know. {near(setting, _SETTINGS)}"
                )
        counted = f"Deployment '{deployment.name}' has {deployment.replicas} replicas"
        if self.serverless_memory is not None and deployment.replicas != 1:
            raise DeploymentError(f"{counted}, and `serverless_memory` has none. Leave one of them out.")
        if deployment.replicas < 1:
            raise DeploymentError(f"{counted}; give a whole number from 1 on.")
        given: dict[str, Any] = dict(deployment.settings)
        return dataclasses.replace(self, **given) if given else self

    def _upload(self, deployment: Deployment, made: str, description: bytes) -> None:
        store = self._store()
        store.create(f"{made}/serving.json", description)
        for file in sorted(deployment.model.rglob("*")):
            if file.is_file():
                store.create(f"{made}/data/{file.relative_to(deployment.model).as_posix()}", file)

    def _store(self) -> S3ArtifactStore:
        """What is at `model_path`, moved as artifacts are."""
        from dovetail_aws.artifact_store import S3ArtifactStore

        shared = {each.name: getattr(self, each.name) for each in dataclasses.fields(AwsConnection)}
        return S3ArtifactStore(path=self.model_path, kms_key=self.kms_key, **shared)

    def _make(self, deployment: Deployment, name: str, made: str) -> None:
        source = {"S3Uri": f"{self.model_path.rstrip('/')}/{made}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        container = {"Image": self.image, "ModelDataSource": {"S3DataSource": source}, "Environment": dict(self.variables)}
        network = {"VpcConfig": {"Subnets": self.subnets, "SecurityGroupIds": self.security_group_ids}} if self.subnets else {}
        variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": name}
        if self.serverless_memory is not None:
            variant["ServerlessConfig"] = {"MemorySizeInMB": self.serverless_memory, "MaxConcurrency": self.serverless_concurrency}
        else:
            seconds = max(60, min(int(self.startup_timeout), _LONGEST_HEALTH_CHECK))
            variant.update(InstanceType=self.instance_type, InitialInstanceCount=deployment.replicas)
            variant["ContainerStartupHealthCheckTimeoutInSeconds"] = seconds
        key = {"KmsKeyId": self.kms_key} if self.kms_key and self.serverless_memory is None else {}
        with self._asking(f"the model of deployment '{deployment.name}'"):
            self._sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=self.role, Tags=self._tags(), **network)
            self._sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=self._tags(), **key)

    def _serve(self, endpoint: str, config: str) -> bool:
        """Whether the endpoint is a new one; else it changes to what is to be served."""
        until = time.monotonic() + self.startup_timeout
        while True:
            found = self._described(endpoint)
            state = found["EndpointStatus"] if found is not None else ""
            if state not in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting") or time.monotonic() > until:
                break
            time.sleep(self.poll)  # it takes no other change meanwhile
        with self._asking(f"endpoint {endpoint}"):
            if state == "Failed":  # it never served, and can only be deleted
                self._sagemaker.delete_endpoint(EndpointName=endpoint)
                while self._described(endpoint) is not None and time.monotonic() < until:
                    time.sleep(self.poll)
                found = None
            if found is None:
                self._sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config, Tags=self._tags())
            else:
                self._sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        return found is None

    def _wait(self, name: str, handle: Mapping[str, Any], *, created: bool) -> None:
        until = time.monotonic() + self.startup_timeout
        while True:
            found = self._described(handle["endpoint"])
            state = found["EndpointStatus"] if found is not None else "gone"
            if found is not None and state == "InService" and found["EndpointConfigName"] == handle["config"]:
                return
            settled = state not in ("Creating", "Updating", "SystemUpdating", "RollingBack")
            if settled or time.monotonic() > until:
                why = str((found or {}).get("FailureReason") or "").rstrip(".")
                ended = f"did not get healthy ({state}{f': {why}' if why else ''})" if settled else f"did not serve within {self.startup_timeout} s"
                kept = "" if created else " What it served before, it serves still."
                lines = self._tail(handle, _LOG_LINES)
                log = "\n".join([" The last lines of its log:", *(f"  {line}" for line in lines)]) if lines else ""
                raise DeploymentError(f"Deployment '{name}' {ended}.{kept}{log}")
            time.sleep(self.poll)

    # -- while it serves -----------------------------------------------------------------------------------------------

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        try:
            found = self._described(handle["endpoint"])
        except DeploymentError as error:
            if isinstance(error.__cause__, Unreachable):
                return DeploymentStatus.UNKNOWN
            raise
        if found is None:
            return DeploymentStatus.STOPPED
        if found.get("EndpointConfigName") != handle["config"]:  # another of that name has taken its place, or it has yet to take another's
            pending = found.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
            return DeploymentStatus.STARTING if pending == handle["config"] else DeploymentStatus.STOPPED
        return _STATES.get(found["EndpointStatus"], DeploymentStatus.FAILED)

    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        """What the model's method returns for `data`, with the types that it has there."""
        from botocore.exceptions import ClientError

        from dovetail.components.serving.data import request, unpack
        from dovetail.values.encoding import NotEncodable

        name = f"Deployment '{handle['name']}'"
        try:
            body = json.dumps(request(data, method), allow_nan=False).encode()
        except (NotEncodable, ValueError) as error:
            raise DeploymentError(f"{name} cannot be sent this data: {error} Give lists, dicts, arrays or frames.") from error
        runtime = self.service("sagemaker-runtime")
        with self._asking(f"endpoint {handle['endpoint']}"):
            try:
                told = runtime.invoke_endpoint(EndpointName=handle["endpoint"], ContentType="application/json", Accept="application/json", Body=body)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ModelError":
                    raise
                raise DeploymentError(_refused(name, error.response)) from error
            answer = json.loads(told["Body"].read())
        return unpack(answer["predictions"], answer, "rows")

    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        return self._tail(handle, lines)

    def _tail(self, handle: Mapping[str, Any], lines: int) -> list[str]:
        group = f"{_LOG}/{handle['endpoint']}"
        events: list[Any] = []
        try:
            with explained("CloudWatch", f"the log of deployment '{handle['name']}'"):
                logs = self.service("logs")
                for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{VARIANT}/")["logStreams"]:
                    asked = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startTime": handle["since"]}
                    events += logs.get_log_events(**asked, limit=lines, startFromHead=False)["events"]
        except Absent:
            return []
        except AwsError as error:
            return [str(error)]
        return [event["message"].rstrip("\n") for event in sorted(events, key=lambda event: event["timestamp"])][-lines:]

    def stop(self, handle: Mapping[str, Any]) -> None:
        found = self._described(handle["endpoint"])
        pending = (found or {}).get("PendingDeploymentSummary", {}).get("EndpointConfigName")
        if found is not None and handle["config"] in (found.get("EndpointConfigName"), pending) and found["EndpointStatus"] != "Deleting":
            self._delete("endpoint", EndpointName=handle["endpoint"])
        self._forget(handle, endpoint=False)

    def _forget(self, handle: Mapping[str, Any], *, endpoint: bool = True) -> None:
        """Remove what was made for a deployment; of an endpoint, one that never served anything."""
        if endpoint:
            found = self._quietly(handle["endpoint"])
            if found is not None and found.get("EndpointConfigName") == handle["config"]:
                self._delete("endpoint", EndpointName=handle["endpoint"])
        self._delete("endpoint_config", EndpointConfigName=handle["config"])
        self._delete("model", ModelName=handle["config"])
        with self._asking(f"what is at {self.model_path}"):
            self._store().delete_folder(str(handle["model"]))

    def _quietly(self, endpoint: str) -> dict[str, Any] | None:
        try:
            return self._described(endpoint)
        except DovetailError:
            return None

    def _delete(self, what: str, **named: str) -> None:
        try:
            with explained(self._where, f"{what.replace('_', ' ')} {next(iter(named.values()))}"):
                getattr(self._sagemaker, f"delete_{what}")(**named)
        except (Absent, Taken):
            return
        except AwsError as error:
            raise DeploymentError(str(error)) from error

    def check(self) -> list[str]:
        from dovetail_aws.sagemaker_checks import role_problems
        from dovetail_aws.sagemaker_images import ecr_problem

        quick = self.quickly()
        try:
            with quick._asking("endpoints"):
                quick._sagemaker.list_endpoints(MaxResults=1)
        except DeploymentError as error:
            return [str(error)]
        found = ecr_problem(self.image, self.region_name())
        return [*role_problems(quick), *([found] if found else [])]

    def _described(self, endpoint: str) -> dict[str, Any] | None:
        try:
            with explained(self._where, f"endpoint {endpoint}"):
                return dict(self._sagemaker.describe_endpoint(EndpointName=endpoint))
        except Absent:
            return None
        except AwsError as error:
            raise DeploymentError(str(error)) from error

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            with explained(self._where, what):
                yield
        except AwsError as error:
            raise DeploymentError(str(error)) from error

    @property
    def _where(self) -> str:
        return "SageMaker" + (f" at {self.endpoint_url}" if self.endpoint_url else "")

    @property
    def _sagemaker(self) -> Any:
        return self.service("sagemaker")

    def _tags(self) -> list[dict[str, str]]:
        return [{"Key": name, "Value": value} for name, value in self.tags.items()]


def _endpoint_name(name: str) -> str:
    """In the characters that endpoints may have. What is changed by that gets a mark, so that two names stay two."""
    from dovetail.digest import of_bytes

    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:50].strip("-") or "model"
    return plain if plain == name else f"{plain}-{of_bytes(name.encode())[:8]}"


def _refused(name: str, response: Mapping[str, Any]) -> str:
    status, text = response.get("OriginalStatusCode"), str(response.get("OriginalMessage") or "")
    try:
        said = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        said = text
    return f"{name} refused the request ({status}): {said}"
