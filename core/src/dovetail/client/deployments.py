"""Deployments: what is served, recorded in the ledger, reached through the stack's model deployer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.client.views import Artifact
from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import ConfigurationError, DefinitionError, NotFound, near
from dovetail.execution.scope import current
from dovetail.ledger import layout
from dovetail.planning.readings import deployment_reading
from dovetail.planning.workspace import Workspace
from dovetail.values.encoding import NotEncodable, encode
from dovetail.values.names import check_name

_KNOWN = ("model", "model_name", "name", "replicas")


@dataclass(frozen=True)
class RunningDeployment:
    """One deployment. `number` counts those of its name; the record stays when it has stopped."""

    workspace: Workspace
    name: str
    number: int
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<deployment {self.name} at {self.url}>"

    @property
    def _deployer(self) -> ModelDeployer:
        made: Any = self.workspace.stack.build("model_deployer")
        if not isinstance(made, ModelDeployer):
            raise ConfigurationError(
                f"Stack '{self.workspace.stack.name}' has no model deployer to reach '{self.name}'. Choose the stack that deployed it: --stack."
            )
        return made

    @property
    def url(self) -> str:
        return str(self.record["handle"]["url"])

    @property
    def digest(self) -> str:
        """The served artifact's."""
        return str(self.record["digest"])

    @property
    def status(self) -> DeploymentStatus:
        return self._deployer.status(self.record["handle"])

    def predict(self, data: Any, method: str = "predict") -> Any:
        """The model's answers by its `predict` or `predict_proba`. Raises DeploymentError when it does not serve or refuses the data."""
        return self._deployer.predict(self.record["handle"], data, method)

    def logs(self, lines: int = 100) -> Sequence[str]:
        return self._deployer.logs(self.record["handle"], lines)

    def stop(self) -> None:
        self._deployer.stop(self.record["handle"])

    def delete(self) -> None:
        """Stop it and take it out of the lists; its record stays."""
        self.stop()
        self.workspace.ledger.change({"delete": True, "deployment": f"{self.name}/{self.number}"})


class Deployments:
    """The stack's model deployer with its deployments; what the deployer itself offers can be called too."""

    def __init__(self, workspace: Workspace, deployer: ModelDeployer) -> None:
        self._workspace = workspace
        self._deployer = deployer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deployer, name)

    def deploy_model(self, config: Mapping[str, Any]) -> RunningDeployment:
        """Serve a model and wait until it is healthy.

        `config`: `model` (a value, an artifact, or a step run's output), `model_name`, `replicas` (1), and settings of the
        deployer's own. Serving the same model under the same name and settings again gives the deployment that is there.
        Raises DeploymentError, with the last lines of its log, when it never gets healthy; nothing is left running then.
        """
        missing = [key for key in ("model", "model_name") if key not in config]
        if missing:
            raise DefinitionError(f"deploy_model needs config={{'{missing[0]}': …}}. {near(missing[0], config)}")
        name = check_name("deployment", config["model_name"])
        settings = _settings(config)
        digest = self._digest_of(config["model"])
        replicas = int(config.get("replicas", 1))
        wanted = {"digest": digest, "replicas": replicas, "settings": settings}
        found = self._same(name, wanted) or self._start(name, wanted)
        scope = current()
        if scope is not None:
            scope.note(deployment_reading(found.name, found.number))
        return found

    def list_deployments(self) -> list[RunningDeployment]:
        """The newest deployment of each name that was not deleted."""
        names = sorted(entry.name for entry in self._workspace.store.scan("deployments"))
        return [found for name in names for found in [self._newest(name)] if found is not None]

    def get_deployment(self, name: str) -> RunningDeployment:
        """Raises NotFound for a name that was never deployed, or was deleted."""
        found = self._newest(name)
        if found is None:
            raise NotFound("deployment", name, (deployment.name for deployment in self.list_deployments()))
        return found

    def _newest(self, name: str) -> RunningDeployment | None:
        deleted = {change["deployment"] for change in self._workspace.ledger.changes() if change.get("delete") and "deployment" in change}
        for number, record in self._workspace.ledger.records.newest(layout.deployments(name)):
            if f"{record['name']}/{number}" not in deleted:
                return RunningDeployment(self._workspace, record["name"], number, record)
        return None

    def _same(self, name: str, wanted: Mapping[str, Any]) -> RunningDeployment | None:
        found = self._newest(name)
        if found is None or any(found.record.get(key) != value for key, value in wanted.items()):
            return None
        return found if found.status is DeploymentStatus.RUNNING else None

    def _start(self, name: str, wanted: Mapping[str, Any]) -> RunningDeployment:
        before = self._newest(name)
        if before is not None and "port" in wanted["settings"]:
            before.stop()  # the new one needs its port
        artifacts = self._workspace.ledger.artifacts
        manifest = artifacts.get(wanted["digest"])
        number = time.time_ns()
        folder = self._workspace.project.config / "deployments" / name / str(number)
        handle = self._deployer.start(
            Deployment(
                name, artifacts.folder(wanted["digest"]), manifest.materializer, manifest.type, wanted["digest"], folder,
                wanted["replicas"], wanted["settings"], trusted=self._workspace.store.trusted, materializers=self._materializers(),
            )
        )  # fmt: skip
        scope = current()
        made_by = {"run": scope.step_run.run_id, "invocation": scope.step_run.name} if scope is not None else {}
        record = {"name": name, **wanted, "handle": handle, "at": time.time(), "deployer": self._deployer.name, "made_by": made_by}
        kept = self._workspace.ledger.records.append(layout.deployments(name), record)
        if before is not None:
            before.stop()
        return RunningDeployment(self._workspace, name, kept, record)

    def _materializers(self) -> dict[str, str]:
        return {name: spec.target for spec in self._workspace.registry.materializer_specs() for name in spec.types}

    def _digest_of(self, model: Any) -> str:
        if isinstance(model, Artifact):
            return model.digest
        self._workspace.ledger.records.format(create=True)
        return self._workspace.ledger.artifacts.save(model)[0]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    settings = {}
    for key, value in config.items():
        if key not in _KNOWN:
            try:
                settings[key] = encode(value)
            except NotEncodable as error:
                raise DefinitionError(f"deploy_model's setting '{key}' is not JSON: {error}") from error
    return settings
