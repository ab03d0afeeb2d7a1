"""SageMaker's endpoints on loopback: models' files are fetched, containers really run, and requests go to them."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator import free_port
from sagemaker_service import ACCOUNT, REGION, Refused, SageMakerService

_HEALTHY_WITHIN = 60.0  # seconds


@dataclass
class Standing:
    """What serves one configuration of an endpoint."""

    config: str
    container: Any
    folder: Any
    port: int
    began: float

    def asked(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def runs(self) -> bool:
        self.container.reload()
        return bool(self.container.status == "running")

    def end(self) -> None:
        with suppress(Exception):  # it has gone
            self.container.remove(force=True)
        self.folder.cleanup()


@dataclass
class Endpoint:
    status: str
    config: str
    pending: str = ""
    failure: str = ""
    standing: Standing | None = None


class EndpointsService(SageMakerService):
    def __init__(self, moto: int, engine: Any = None, volumes: Any = (), s3: Any = None) -> None:
        super().__init__(moto, engine, volumes)
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self._s3 = s3
        self._printed: dict[str, list[tuple[int, list[str]]]] = {}

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def CreateModel(self, request: dict[str, Any]) -> dict[str, Any]:
        self.models[request["ModelName"]] = request
        return {"ModelArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{request['ModelName']}"}

    def DeleteModel(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._removed(self.models, request["ModelName"], "model")

    def CreateEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:
        self.configs[request["EndpointConfigName"]] = request
        return {"EndpointConfigArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/{request['EndpointConfigName']}"}

    def DeleteEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._removed(self.configs, request["EndpointConfigName"], "endpoint configuration")

    def CreateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if name in self.endpoints:
            raise Refused("ValidationException", f'Cannot create already existing endpoint "arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name}".')
        self.endpoints[name] = Endpoint("Creating", config)
        self._begin(name, config)
        return {"EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name}"}

    def UpdateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._endpoint(request)
        if found.status != "InService":
            raise Refused("ValidationException", f"Cannot update in-progress endpoint, it is {found.status}.")
        found.status, found.pending = "Updating", request["EndpointConfigName"]
        self._begin(request["EndpointName"], request["EndpointConfigName"])
        return {"EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{request['EndpointName']}"}

    def DescribeEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._endpoint(request)
        if found.status == "InService" and found.standing is not None and not found.standing.runs():
            self._keep(request["EndpointName"], found.standing)
            found.status, found.failure = "Failed", "The container ended."
        told = {"EndpointName": request["EndpointName"], "EndpointArn": "arn:x", "EndpointConfigName": found.config, "EndpointStatus": found.status}
        more = {"FailureReason": found.failure} if found.failure else {}
        more = {**more, **({"PendingDeploymentSummary": {"EndpointConfigName": found.pending}} if found.pending else {})}
        return {**told, "CreationTime": 0, "LastModifiedTime": 0, **more}

    def DeleteEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._endpoint(request)
        del self.endpoints[request["EndpointName"]]
        if found.standing is not None:
            self._keep(request["EndpointName"], found.standing)
            found.standing.end()
        return {}

    def GetLogEvents(self, request: dict[str, Any]) -> dict[str, Any]:
        if "/Endpoints/" not in request["logGroupName"]:
            return super().GetLogEvents(request)
        name = request["logGroupName"].rpartition("/")[2]
        found = self.endpoints.get(name)
        printed = list(self._printed.get(name, []))
        if found is not None and found.standing is not None:
            printed.append((int(found.standing.began * 1000), self._lines(found.standing)))
        events = [{"message": line, "timestamp": at} for at, lines in printed for line in lines if at >= request.get("startTime", 0)]
        return {"events": events[-request.get("limit", 10_000) :]}

    def DescribeLogStreams(self, request: dict[str, Any]) -> dict[str, Any]:
        if "/Endpoints/" not in request["logGroupName"]:
            return super().DescribeLogStreams(request)
        if request["logGroupName"].rpartition("/")[2] not in {*self.endpoints, *self._printed}:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        return {"logStreams": [{"logStreamName": "AllTraffic/i-0"}]}

    def invoked(self, name: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of the answer of InvokeEndpoint."""
        found = self.endpoints.get(name)
        if found is None or found.standing is None:
            return 400, json.dumps({"message": f"Endpoint {name} of account {ACCOUNT} not found."}).encode(), {"x-amzn-ErrorType": "ValidationError"}
        try:
            status, said = found.standing.asked("/invocations", body)
        except OSError as error:
            status, said = 500, str(error).encode()
        if status == 200:
            return 200, said, {}
        text = said.decode()
        message = f'Received client error ({status}) from primary with message "{text}".'
        told = {"Message": message, "OriginalStatusCode": status, "OriginalMessage": text, "LogStreamArn": "arn:x"}
        return 424, json.dumps(told).encode(), {"x-amzn-ErrorType": "ModelError"}

    # -- containers ----------------------------------------------------------------------------------------------------

    def _endpoint(self, request: dict[str, Any]) -> Endpoint:
        found = self.endpoints.get(request["EndpointName"])
        if found is None:
            raise Refused("ValidationException", f'Could not find endpoint "arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{request["EndpointName"]}".')
        return found

    def _removed(self, kept: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
        if kept.pop(name, None) is None:
            raise Refused("ValidationException", f'Could not find {kind} "{name}".')
        return {}

    def _begin(self, name: str, config: str) -> None:
        thread = threading.Thread(target=self._bring_up, args=(name, config), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _bring_up(self, name: str, config: str) -> None:
        standing = None
        try:
            standing = self._started(config)
            until = time.monotonic() + _HEALTHY_WITHIN
            while not self._healthy(standing):
                if not standing.runs() or time.monotonic() > until:
                    raise RuntimeError(f"The primary container for production variant AllTraffic did not pass the ping health check. Please check CloudWatch logs for this endpoint.")
                time.sleep(0.05)
        except Exception as error:
            self._failed(name, str(error), standing)
            return
        with self._lock:
            found = self.endpoints.get(name)
            if found is None:
                standing.end()
                return
            before, found.standing = found.standing, standing
            found.config, found.pending, found.status = config, "", "InService"
        if before is not None:
            self._keep(name, before)
            before.end()

    def _failed(self, name: str, why: str, standing: Standing | None) -> None:
        """An endpoint that served something goes on with that."""
        if standing is not None:
            self._keep(name, standing)
            standing.end()
        found = self.endpoints.get(name)
        if found is not None:
            found.failure, found.pending, found.status = why, "", "InService" if found.standing is not None else "Failed"

    def _healthy(self, standing: Standing) -> bool:
        try:
            return standing.asked("/ping")[0] == 200
        except OSError:
            return False

    def _started(self, config: str) -> Standing:
        (variant,) = self.configs[config]["ProductionVariants"]
        primary = self.models[variant["ModelName"]]["PrimaryContainer"]
        folder = tempfile.TemporaryDirectory(prefix="dovetail-endpoint-")
        self._fetch(primary["ModelDataSource"]["S3DataSource"]["S3Uri"], Path(folder.name))
        port = free_port()
        made = self._engine.client().containers.run(
            primary["Image"], ["serve"], detach=True, network_mode="host", volumes=[*self._volumes, f"{folder.name}:/opt/ml/model:ro"],
            environment={**primary.get("Environment", {}), "SAGEMAKER_BIND_TO_PORT": str(port)},
        )  # fmt: skip
        return Standing(config, made, folder, port, time.time())

    def _fetch(self, uri: str, folder: Path) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        for each in self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
            file = folder / each["Key"][len(prefix) :]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self._s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())

    def _lines(self, standing: Standing) -> list[str]:
        with suppress(Exception):  # it has been removed
            return list(standing.container.logs().decode("utf-8", "replace").splitlines())
        return []

    def _keep(self, name: str, standing: Standing) -> None:
        self._printed.setdefault(name, []).append((int(standing.began * 1000), self._lines(standing)))

    def close(self) -> None:
        super().close()
        for found in self.endpoints.values():
            if found.standing is not None:
                found.standing.end()
