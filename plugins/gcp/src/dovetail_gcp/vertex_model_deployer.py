"""Serves models behind endpoints of Vertex AI."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from dovetail.components import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import ConfigurationError, DeploymentError, DovetailError, near
from dovetail.values.encoding import Json, NotEncodable
from dovetail_gcp.errors import GoogleError, Kind
from dovetail_gcp.labels import labels
from dovetail_gcp.vertex_machines import Machine, accelerator
from dovetail_gcp.vertex_models import Payload, VertexModels, digest_of
from dovetail_gcp.vertex_running import unpulled
from dovetail_gcp.vertex_serving import HEALTH, OWN

_SETTINGS = (
    "image", "machine_type", "accelerator_type", "accelerator_count", "max_replicas", "spot", "service_account", "startup_timeout", "labels",
)  # fmt: skip
_LOG_LINES = 60  # shown in an error


class VertexModelDeployer(VertexModels, ModelDeployer):
    """A deployment is an endpoint with one model, served by a container of `image`. Callers sign in as for all of Google's services.

    Plain callers send `{"instances": [row, …]}` to the endpoint. A deployment may set what the fields below say for itself. Requests have
    1.5 MB at most, as Vertex AI has it.
    """

    machine_type: str = field(default="n1-standard-2", metadata={"help": "Machine of each replica."})
    accelerator_type: str | None = field(default=None, metadata={"help": "Accelerator of each replica, such as NVIDIA_TESLA_T4."})
    accelerator_count: int = field(default=1, metadata={"help": "How many of them, where a type is set."})
    max_replicas: int | None = field(default=None, metadata={"help": "Most replicas under load; as many as the deployment asks for when not set."})
    spot: bool = field(default=False, metadata={"help": "Serve on Spot machines, which cost less and may be taken away."})
    service_account: str | None = field(default=None, metadata={"help": "Email of the account that the container runs as."})
    startup_timeout: float = field(default=1800.0, metadata={"help": "Seconds until the model must be served; Vertex AI takes some minutes."})

    def check(self) -> list[str]:
        return self._check_models("endpoints")

    def start(self, deployment: Deployment) -> dict[str, Json]:
        made: dict[str, str] = {}
        try:
            asked = self._with(deployment)
            return asked._start(deployment, made)
        except (GoogleError, OSError, ConfigurationError) as error:
            said = self._why(made, error)
            raise DeploymentError(f"Deployment '{deployment.name}' was not served: {said}{self._remains(made)}") from error
        except BaseException:
            with contextlib.suppress(DovetailError):
                self._remove(made)
            raise

    def _with(self, deployment: Deployment) -> VertexModelDeployer:
        name = f"Deployment '{deployment.name}'"
        for setting in deployment.settings:
            if setting not in _SETTINGS:
                raise DeploymentError(f"{name} sets '{setting}', which the vertex model deployer does not know. {near(setting, _SETTINGS)}")
        if type(deployment.replicas) is not int or deployment.replicas < 1:
            raise DeploymentError(f"{name} has {deployment.replicas!r} replicas; give a whole number from 1 on.")
        given: Any = deployment.settings
        made: Any = dataclasses.replace(self, **given).called(self.name, self.flavor)
        if made.max_replicas is not None and made.max_replicas < deployment.replicas:
            raise DeploymentError(f"{name} has {deployment.replicas} replicas, and max_replicas is {made.max_replicas}. Raise the latter.")
        found: VertexModelDeployer = made
        return found

    def _start(self, deployment: Deployment, made: dict[str, str]) -> dict[str, Json]:
        what, called = f"Deployment '{deployment.name}'", deployment.name[:128]
        own = labels({"dovetail.deployment": deployment.name, "dovetail.digest": deployment.digest[:16]}, self.labels)
        payload = Payload(deployment.name, deployment.materializer, deployment.type, deployment.trusted, deployment.materializers)
        model = {
            "displayName": called,
            "labels": own,
            "containerSpec": self.container(payload),
            "artifactUri": self.staged(deployment.model, digest_of(deployment.model)),
        }
        made["model"] = str(self.uploaded(model, what)["model"])
        key = {"encryptionSpec": {"kmsKeyName": self.encryption_key}} if self.encryption_key else {}
        wanted = {"displayName": called, "labels": own, **key}
        begun = self.vertex("POST", f"{self.parent()}/endpoints", what, wanted)
        made["endpoint"] = str(self.finished(begun, what)["name"])
        begun = self.vertex("POST", f"{made['endpoint']}:deployModel", what, self._deployed(deployment, made["model"]))
        deployed = self.finished(begun, what, self.startup_timeout)["deployedModel"]["id"]
        url = f"https://{self.location}-aiplatform.googleapis.com/v1/{made['endpoint']}:predict"
        return {"name": deployment.name, "url": url, **made, "deployed_model": str(deployed)}

    def _deployed(self, deployment: Deployment, model: str) -> dict[str, Any]:
        gpu = accelerator(self.accelerator_type) if self.accelerator_type else ""
        machine = Machine(self.machine_type, 0, 0, gpu, self.accelerator_count if gpu else 0)
        resources: dict[str, Any] = {
            "machineSpec": machine.spec(), "minReplicaCount": deployment.replicas, "maxReplicaCount": max(deployment.replicas, self.max_replicas or 0),
        }  # fmt: skip
        if self.spot:
            resources["spot"] = True
        served: dict[str, Any] = {"model": model, "displayName": deployment.name[:128], "dedicatedResources": resources}
        if self.service_account:
            served["serviceAccount"] = self.service_account
        return {"deployedModel": served, "trafficSplit": {"0": 100}}

    def _why(self, made: Mapping[str, str], error: Exception) -> str:
        lines: Sequence[str] = ()
        if "endpoint" in made:
            with contextlib.suppress(DovetailError):
                lines = self._log(made["endpoint"], _LOG_LINES)
        cure = f" {unpulled(self.image, self.project_id())}" if "image" in str(error).lower() and "pull" in str(error).lower() else ""
        return "\n".join([f"{error}{cure}", *(["The last lines of its log:"] if lines else []), *(f"  {line}" for line in lines)])

    def _remains(self, made: Mapping[str, str]) -> str:
        """Removes what was made, and says what is left of it, which costs money."""
        try:
            self._remove(made)
        except GoogleError as error:
            look = f"Look at `gcloud ai endpoints list --region={self.location} --project={self.project_id()}`"
            return f"\nWhat was made for it could not be removed: {error} {look}."
        return ""

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        try:
            found = self.vertex("GET", str(handle["endpoint"]), self._of(handle))
            if not found.get("deployedModels"):
                return DeploymentStatus.STOPPED
            self._predictions(handle, HEALTH)
        except GoogleError as error:
            if error.kind is Kind.ABSENT:
                return DeploymentStatus.STOPPED
            return DeploymentStatus.UNKNOWN if error.status in (0, 429) or error.kind is Kind.DENIED else DeploymentStatus.FAILED
        return DeploymentStatus.RUNNING

    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        from dovetail.components.serving.data import request, unpack

        name = self._of(handle)
        try:
            message = json.dumps(request(data, method))
        except NotEncodable as error:
            raise DeploymentError(f"{name} cannot be sent this data: {error} Give lists, dicts, arrays or frames.") from error
        try:
            told = json.loads(self._predictions(handle, message)[0])
        except (GoogleError, ConfigurationError) as error:
            raise DeploymentError(str(error)) from error
        except (ValueError, TypeError, LookupError) as error:
            raise DeploymentError(f"{name} does not answer as one of Dovetail's does: it was made by somebody else.") from error
        if "error" in told:
            raise DeploymentError(f"{name} refused the request: {told['error']}")
        return unpack(told["predictions"], told, "rows")

    def _predictions(self, handle: Mapping[str, Any], message: str) -> Any:
        asked = {"instances": [{OWN: message}]}
        return self.vertex("POST", f"{handle['endpoint']}:predict", self._of(handle), asked, again=True)["predictions"]

    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        try:
            return self._log(str(handle["endpoint"]), lines)
        except GoogleError as error:
            raise DeploymentError(str(error)) from error

    def _log(self, endpoint: str, lines: int) -> Sequence[str]:
        wanted = f'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{endpoint.rpartition("/")[2]}"'
        return self.log_lines(wanted, lines)

    def stop(self, handle: Mapping[str, Any]) -> None:
        try:
            self._remove(handle)
        except GoogleError as error:
            raise DeploymentError(f"{self._of(handle)} could not be ended: {error}") from error

    def _remove(self, handle: Mapping[str, Any]) -> None:
        """The endpoint with what is deployed to it, and the model; what is gone already is."""
        if "endpoint" in handle:
            self._undeploy(str(handle["endpoint"]))
            self._delete(str(handle["endpoint"]))
        if "model" in handle:
            self._delete(str(handle["model"]))

    def _undeploy(self, endpoint: str) -> None:
        what = f"Endpoint {endpoint}"
        try:
            for deployed in self.vertex("GET", endpoint, what).get("deployedModels", ()):
                begun = self.vertex("POST", f"{endpoint}:undeployModel", what, {"deployedModelId": deployed["id"]}, again=True)
                self.finished(begun, what)
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise

    def _delete(self, name: str) -> None:
        try:
            self.finished(self.vertex("DELETE", name, f"The deletion of {name}"), f"The deletion of {name}")
        except GoogleError as error:
            if error.kind is not Kind.ABSENT:
                raise

    def _of(self, handle: Mapping[str, Any]) -> str:
        return f"Deployment '{handle['name']}'"
