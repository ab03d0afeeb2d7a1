"""SageMaker on loopback: takes the requests that the real client makes, within the limits of the service's own model, and really runs the containers.

A verb is a method of its name, so a subclass adds more of them. What is not SageMaker's goes on to moto.
"""

from __future__ import annotations

import functools
import gzip
import http.client
import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dovetail_aws.sagemaker_instances import known

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/dovetail"
LIFE = 3.0  # seconds for which the keys of a job's role are taken
_GRACE = 3
_SIMULATED = (
    '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult><EvaluationResults><member>'
    "<EvalActionName>iam:PassRole</EvalActionName><EvalDecision>{}</EvalDecision></member></EvaluationResults></SimulatePrincipalPolicyResult>"
    "</SimulatePrincipalPolicyResponse>"
)


class Refused(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@functools.lru_cache
def model(service: str = "sagemaker") -> dict[str, Any]:
    import botocore

    file = sorted((Path(botocore.__file__).parent / "data" / service).glob("*/service-2.json.gz"))[-1]
    return dict(json.loads(gzip.decompress(file.read_bytes())))


def limited(name: str, value: Any, place: str = "") -> None:
    """As the service does: everything within the lengths, numbers, patterns and choices of its model, which the client does not look at."""
    shape = model()["shapes"][name]
    if value is None:
        return
    size = value if isinstance(value, (int, float)) and not isinstance(value, bool) else len(value) if hasattr(value, "__len__") else None
    if size is not None and size > shape.get("max", size):
        raise Refused("ValidationException", f"1 validation error detected: Value at '{place}' failed to satisfy constraint: at most {shape['max']}, not {size}")
    if "pattern" in shape and not re.fullmatch(re.sub(r"\\p\{L\}\\p\{Z\}\\p\{N\}", r"\\w\\s", shape["pattern"]), value):
        raise Refused("ValidationException", f"Value at '{place}' failed to satisfy constraint: regular expression pattern: {shape['pattern']}")
    if "enum" in shape and value not in shape["enum"]:
        raise Refused("ValidationException", f"Value '{value}' at '{place}' failed to satisfy constraint: enum value set")
    if shape["type"] == "structure":
        for required in shape.get("required", ()):
            if required not in value:
                raise Refused("ValidationException", f"{place}.{required} is missing")
        for member, content in value.items():
            limited(shape["members"][member]["shape"], content, f"{place}.{member}")
    for content in value if shape["type"] == "list" else ():
        limited(shape["member"]["shape"], content, f"{place}[]")
    for key, content in value.items() if shape["type"] == "map" else ():
        limited(shape["key"]["shape"], key, f"{place} key")
        limited(shape["value"]["shape"], content, f"{place}.{key}")


@dataclass
class Held:
    """A job. `container`: of an engine's client; None where nothing runs."""

    kind: str
    request: dict[str, Any]
    status: str = "InProgress"
    secondary: str = "Training"
    failure: str = ""
    message: str = ""
    began: float = field(default_factory=time.time)
    container: Any = None
    stopping: bool = False

    @property
    def name(self) -> str:
        return str(self.request[f"{self.kind}JobName"])

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{self.kind.lower()}-job/{self.name}"


class SageMakerService:
    """`requests`: (verb, request) of all that came. `refusals`: what a verb answers in place of doing it."""

    def __init__(self, moto: int, engine: Any = None, volumes: Any = ()) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.refusals: dict[str, Refused] = {}
        self.jobs: dict[str, Held] = {}
        self.logs: dict[str, list[str]] = {}
        self.signed_by: list[tuple[str, str]] = []  # verb, access key
        self.issued: list[str] = []
        self.may_pass = True  # iam:PassRole, as IAM's simulation says, which moto has not
        self.moto = moto
        self.url = ""
        self._engine = engine
        self._volumes = list(volumes)
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []

    def sent(self, verb: str) -> dict[str, Any]:
        """The last request of a verb."""
        return [request for name, request in self.requests if name == verb][-1]

    @contextmanager
    def refusing(self, verb: str, code: str, message: str) -> Iterator[None]:
        self.refusals[verb] = Refused(code, message)
        try:
            yield
        finally:
            del self.refusals[verb]

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def CreateProcessingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"ProcessingJobArn": self.begin("Processing", request).arn}

    def CreateTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"TrainingJobArn": self.begin("Training", request).arn}

    def DescribeProcessingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        held = self._held("Processing", request)
        told = {**held.request, "ProcessingJobArn": held.arn, "ProcessingJobStatus": held.status, "CreationTime": held.began}
        return {**told, **({"FailureReason": held.failure} if held.failure else {}), **({"ExitMessage": held.message} if held.message else {})}

    def DescribeTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        held = self._held("Training", request)
        told = {**held.request, "TrainingJobArn": held.arn, "TrainingJobStatus": held.status, "SecondaryStatus": held.secondary, "CreationTime": held.began}
        return {**told, "ModelArtifacts": {"S3ModelArtifacts": "s3://trial/none"}, **({"FailureReason": held.failure} if held.failure else {})}

    def StopProcessingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._stop(self._held("Processing", request))

    def StopTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._stop(self._held("Training", request))

    def ListProcessingJobs(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"ProcessingJobSummaries": []}

    def ListTrainingJobs(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"TrainingJobSummaries": []}

    def ListEndpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Endpoints": []}

    def DescribeLogStreams(self, request: dict[str, Any]) -> dict[str, Any]:
        prefix = f"{request['logGroupName']}/{request['logStreamNamePrefix']}"
        found = [name for name in self.logs if name.startswith(prefix)]
        return {"logStreams": [{"logStreamName": name.removeprefix(f"{request['logGroupName']}/")} for name in found]}

    def GetLogEvents(self, request: dict[str, Any]) -> dict[str, Any]:
        lines = self.logs.get(f"{request['logGroupName']}/{request['logStreamName']}")
        if lines is None:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        events = [event for event in self.events(lines) if event["timestamp"] >= request.get("startTime", 0)]
        return {"events": events[-request.get("limit", 10_000) :]}

    def events(self, lines: Any) -> list[dict[str, Any]]:
        return [{"message": line, "timestamp": int(time.time() * 1000)} for line in lines]

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def begin(self, kind: str, request: dict[str, Any]) -> Held:
        """A job that runs its container, where there is an engine."""
        held = Held(kind, request)
        with self._lock:
            if f"{kind}/{held.name}" in self.jobs:
                raise Refused("ResourceInUse", f"Job name must be unique within an AWS account and region, and a job with this name already exists ({held.arn})")
            self.jobs[f"{kind}/{held.name}"] = held
        if self._engine is not None:
            thread = threading.Thread(target=self._run, args=(held,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return held

    def _held(self, kind: str, request: dict[str, Any]) -> Held:
        found = self.jobs.get(f"{kind}/{request[f'{kind}JobName']}")
        if found is None:
            raise Refused("ValidationException", f"Could not find requested job with name: {request[f'{kind}JobName']}")
        return found

    def _stop(self, held: Held) -> dict[str, Any]:
        with self._lock:
            if held.status != "InProgress":
                raise Refused("ValidationException", f"The request was rejected because the {held.kind.lower()} job is in status {held.status}.")
            held.stopping, held.status = True, "Stopping" if self._engine is not None else "Stopped"
            if held.container is not None:
                threading.Thread(target=self._end, args=(held.container,), daemon=True).start()
        return {}

    def _end(self, container: Any) -> None:
        with suppress(Exception):  # it has ended by itself
            container.stop(timeout=_GRACE)

    def _run(self, held: Held) -> None:
        app = held.request.get("AppSpecification") or held.request["AlgorithmSpecification"]
        with tempfile.TemporaryDirectory(prefix="dovetail-sagemaker-") as output:
            try:
                code = self._contained(held, app, Path(output))
            except Exception as error:
                held.status, held.failure = "Failed", f"ClientError: {error}"
                return
            told = {file.name: file.read_text()[:1024] for file in Path(output).iterdir() if file.is_file()}
        held.message = told.get("message", "") if held.kind == "Processing" else ""
        if held.stopping:
            held.secondary = held.status = "Stopped"
        elif code == 0:
            held.secondary = held.status = "Completed"
        else:
            reason = "See job logs for more information" if held.kind == "Processing" else f"{told.get('failure', '')}, exit code: {code}"
            held.failure, held.secondary, held.status = f"AlgorithmError: {reason}", "Failed", "Failed"

    def _contained(self, held: Held, app: Mapping[str, Any], output: Path) -> int:
        environment = {
            **held.request.get("Environment", {}), "AWS_REGION": REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/role-credentials",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
        }  # fmt: skip
        made = self._engine.client().containers.create(
            app.get("ImageUri") or app["TrainingImage"], list(app["ContainerArguments"]), entrypoint=list(app["ContainerEntrypoint"]),
            environment=environment, network_mode="host", volumes=[*self._volumes, f"{output}:/opt/ml/output"], device_requests=_gpus_of(held.request),
        )  # fmt: skip
        try:
            with self._lock:
                if held.stopping:
                    return 143
                held.container = made
                made.start()
            code = int(made.wait()["StatusCode"])
            self.logs[f"/aws/sagemaker/{held.kind}Jobs/{held.name}/algo-1-{int(held.began)}"] = made.logs().decode("utf-8", "replace").splitlines()
            return code
        finally:
            made.remove(force=True)

    def close(self) -> None:
        for held in self.jobs.values():
            if held.container is not None:
                with suppress(Exception):  # it has gone
                    held.container.kill()
        for thread in self._threads:
            thread.join(30)

    # -- requests ------------------------------------------------------------------------------------------------------

    def answered(self, target: str, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        prefix, _, verb = target.partition(".")
        with self._lock:
            self.requests.append((verb, body))
            self.signed_by.append((verb, key))
        try:
            if prefix == "SageMaker":
                self.refuse_old(key)
                limited(model()["operations"][verb]["input"]["shape"], body, verb)
            if verb in self.refusals:
                raise self.refusals[verb]
            return 200, getattr(self, verb)(body)
        except Refused as error:
            return error.status, {"__type": error.code, "message": error.message}

    def refuse_old(self, key: str) -> None:
        if key.startswith("ROLE") and time.time() > float(key.partition("X")[2]) + LIFE + 1:
            raise Refused("ExpiredTokenException", "The security token included in the request is expired")

    def issue(self) -> dict[str, str]:
        """A new key of a role, for a while."""
        self.issued.append(f"ROLE{len(self.issued)}X{time.time():.3f}")
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))
        return {"AccessKeyId": self.issued[-1], "SecretAccessKey": "s", "Token": "t", "Expiration": until}

    def invoked(self, name: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """What an endpoint answers: status, body, headers."""
        raise NotImplementedError

    def implements(self, target: str) -> bool:
        verb = target.partition(".")[2]
        return verb[:1].isupper() and hasattr(self, verb)


def _gpus_of(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the machine of a job has, as the engine takes it; a container that asks for more than there is does not start."""
    place = request.get("ResourceConfig") or request.get("ProcessingResources", {}).get("ClusterConfig", {})
    machine = known(str(place.get("InstanceType")))
    return [{"Driver": "", "Count": machine.gpus, "Capabilities": [["gpu"]]}] if machine is not None and machine.gpus else []


@contextmanager
def serving(service: SageMakerService) -> Iterator[SageMakerService]:
    class Handler(_Handler):
        shared = service

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    shared: SageMakerService

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target", "")
        if self.path == "/role-credentials":
            self._say(200, json.dumps(self.shared.issue()).encode(), "application/json")
        elif self.shared.implements(target):
            key = self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
            status, told = self.shared.answered(target, json.loads(body), key)
            self._say(status, json.dumps(told).encode(), "application/x-amz-json-1.1")
        elif self.path.endswith("/invocations"):
            status, told, more = self.shared.invoked(self.path.split("/")[2], body)
            self._say(status, told, "application/json", **more)
        elif b"Action=SimulatePrincipalPolicy" in body:
            self._say(200, _SIMULATED.format("allowed" if self.shared.may_pass else "implicitDeny").encode(), "text/xml")
        else:
            self._onward(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve

    def _onward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.shared.moto, timeout=60)
        try:
            connection.request(self.command, self.path, body, {name: value for name, value in self.headers.items() if name.lower() != "connection"})
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        finally:
            connection.close()

    def _say(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass
