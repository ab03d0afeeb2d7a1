"""Deployments: what is served, recorded in the ledger, reached through the model deployer that serves it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import FunctionType, MethodType
from typing import Any

from dovetail.client.views import Artifact
from dovetail.components.model_deployer import Deployment, DeploymentStatus, ModelDeployer
from dovetail.errors import ConfigurationError, DefinitionError, DeploymentError, DovetailError, NotFound, near
from dovetail.execution.scope import current
from dovetail.ledger import layout
from dovetail.ledger.overlay import OverlayStore
from dovetail.planning.readings import deployment_reading
from dovetail.planning.workspace import Workspace
from dovetail.stack.stack import Stack
from dovetail.values.encoding import NotEncodable, encode
from dovetail.values.names import check_name

_KNOWN = ("model", "model_name", "name", "replicas")
_TRIES = 5  # times that somebody else may be first
_LOG_LINES = 10  # shown of one that does not serve
_log = logging.getLogger("dovetail")


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
    def deployer(self) -> ModelDeployer:
        """The active stack's, if it is the one that serves this; else the one of the stack that deployed it, as that is or was."""
        wanted = self.record.get("component")
        active = self.workspace.stack
        if wanted is None or _is(active, wanted):
            made: Any = active.build("model_deployer")
        else:
            made = self._recorded_stack(wanted).build("model_deployer")
        if not isinstance(made, ModelDeployer):
            raise ConfigurationError(f"Stack '{active.name}' has no model deployer to reach '{self.name}'. Choose the stack that deployed it: --stack.")
        return made

    def _recorded_stack(self, wanted: Mapping[str, Any]) -> Stack:
        from dovetail.stack.store import StackStore

        with contextlib.suppress(DovetailError):  # it was deleted, or can no longer be read
            found = StackStore(self.workspace.project, self.workspace.registry).get(str(self.stack))
            if _is(found, wanted):
                return found
        snapshot = {"name": f"{self.stack}, as it was", "components": {"model_deployer": wanted}, "waive": ()}
        return Stack.from_snapshot(snapshot, self.workspace.registry, self.workspace.project)

    @property
    def url(self) -> str:
        return str(self.record["handle"]["url"])

    @property
    def handle(self) -> Mapping[str, Any]:
        """What its deployer finds it by, as in `deployment.deployer.token(deployment.handle)`."""
        found: Mapping[str, Any] = self.record["handle"]
        return found

    @property
    def digest(self) -> str:
        """The served artifact's."""
        return str(self.record["digest"])

    @property
    def model(self) -> tuple[str, int] | None:
        """Name and number of the model version whose run made the served artifact; None where no model was told of it."""
        found = self.record.get("model")
        return (str(found["name"]), int(found["version"])) if found else None

    @property
    def run(self) -> str | None:
        """The id of the run that deployed it; None for a deployment outside of runs."""
        found = self.record.get("made_by", {}).get("run")
        return None if found is None else str(found)

    @property
    def stack(self) -> str | None:
        """The stack that it was deployed on."""
        found = self.record.get("stack")
        return None if found is None else str(found)

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.record["at"], timezone.utc)

    @property
    def status(self) -> DeploymentStatus:
        return self.deployer.status(self.record["handle"])

    def explain(self) -> str:
        """Why it does not serve: what its deployer knows, else the last lines of its log."""
        said = self.deployer.explain(self.record["handle"])
        if said:
            return said
        lines = self.logs(_LOG_LINES)
        return "\n".join(["The last lines of its log:", *(f"  {line}" for line in lines)]) if lines else ""

    def predict(self, data: Any, method: str = "predict") -> Any:
        """The model's answers by its `predict` or `predict_proba`. Raises DeploymentError when it does not serve or refuses the data."""
        return self.deployer.predict(self.record["handle"], data, method)

    def logs(self, lines: int = 100) -> Sequence[str]:
        return self.deployer.logs(self.record["handle"], lines)

    def stop(self) -> None:
        self.deployer.stop(self.record["handle"])

    def delete(self, *, force: bool = False) -> None:
        """Stop it and take it out of the lists; its record stays. `force`: also where it cannot be stopped, as what is gone for good."""
        try:
            self.stop()
        except DovetailError:
            if not force:
                raise
        self.workspace.ledger.change({"delete": True, "deployment": f"{self.name}/{self.number}"})


def _is(stack: Stack, component: Mapping[str, Any]) -> bool:
    """Whether the stack's model deployer is the recorded one, however it is configured by now."""
    spec = stack.components.get("model_deployer")
    return spec is not None and (spec.flavor, spec.name) == (component["flavor"], component["name"])


class DeploymentRecords:
    """The deployments that a stack's ledger knows."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def list_deployments(self) -> list[RunningDeployment]:
        """The newest deployment of each name, if that was not deleted."""
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
            gone = f"{record['name']}/{number}" in deleted
            return None if gone else RunningDeployment(self._workspace, record["name"], number, record)
        return None


class Deployments(DeploymentRecords):
    """The stack's model deployer with its deployments; what the deployer itself offers can be called too."""

    def __init__(self, workspace: Workspace, deployer: ModelDeployer) -> None:
        super().__init__(workspace)
        self._deployer = deployer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deployer, name)

    def deploy_model(self, config: Mapping[str, Any]) -> RunningDeployment:
        """Serve a model and wait until it is healthy.

        `config`: `model` (a value, an artifact, or a step run's output), `model_name`, `replicas` (1), and settings of the
        deployer's own. Serving the same model under the same name and settings again gives the deployment that is there; another
        one takes its place. Raises DeploymentError, with the last lines of its log, when it never gets healthy; then nothing is left
        running that did not run before, and what served before serves on.
        """
        missing = [key for key in ("model", "model_name") if key not in config]
        if missing:
            raise DefinitionError(f"deploy_model needs config={{'{missing[0]}': …}}. {near(missing[0], config)}")
        name = check_name("deployment", config["model_name"])
        replicas = config.get("replicas", 1)
        if type(replicas) is not int or replicas < 1:
            raise DefinitionError(f"Deployment '{name}' has {replicas!r} replicas; give a whole number from 1 on.")
        try:
            digest = self._digest_of(config["model"])
        except OSError as error:
            raise DeploymentError(f"The model of deployment '{name}' cannot be kept in artifact store '{self._workspace.store.name}': {error}. Make room there, or make it writable.") from error
        wanted = {"digest": digest, "replicas": replicas, "settings": _settings(config)}
        with self._alone(name):
            found = self._served(name, wanted, config["model"])
        scope = current()
        if scope is not None:
            scope.note(deployment_reading(found.name, found.number))
        return found

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One deploys a name of this project at a time. Those elsewhere find out by the number that they claim."""
        import fcntl

        folder = self._workspace.project.config / "deployments" / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / "lock", "ab")  # noqa: SIM115  # closed below
        except OSError as error:
            raise DeploymentError(f"Deployment '{name}' cannot keep its files in {folder}: {error.strerror}. Make it writable.") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _served(self, name: str, wanted: Mapping[str, Any], model: Any) -> RunningDeployment:
        for _ in range(_TRIES):
            numbers = self._workspace.ledger.records.numbers(layout.deployments(name))
            before = self._newest(name)
            if before is not None and self._serves(before, wanted):
                return before
            made = self._claimed(before, name, 1 + max(numbers, default=0), wanted, model)
            if made is not None:
                return made
        raise DeploymentError(f"Others deploy '{name}' at the same time, again and again. Deploy it when they have finished, or under another name.")

    def _serves(self, before: RunningDeployment, wanted: Mapping[str, Any]) -> bool:
        if any(before.record.get(key) != value for key, value in wanted.items()) or not self._is_mine(before):
            return False
        return before.status is DeploymentStatus.RUNNING

    def _is_mine(self, before: RunningDeployment) -> bool:
        component = before.record.get("component")
        return component is None or _is(self._workspace.stack, component)

    def _claimed(
        self, before: RunningDeployment | None, name: str, number: int, wanted: Mapping[str, Any], model: Any
    ) -> RunningDeployment | None:
        """Serve it and claim the number for it; None, with nothing of it left, for who was not the first."""
        aside = isinstance(self._workspace.store, OverlayStore)  # what is tried out takes nobody's place
        old = None if aside or before is None or self._has_gone(before) else before
        deployment = self._deployment(f"{name}-replay" if aside else name, wanted)
        in_place = old is not None and self._is_mine(old)
        handle = self._deployer.update(old.record["handle"], deployment) if old is not None and in_place else self._deployer.start(deployment)
        try:
            record = {"name": name, **wanted, "handle": handle, "at": time.time(), **self._said(model, name)}
            path = f"{layout.deployments(name)}/{number}.json"
            claimed = self._workspace.ledger.records.create(path, record)
        except BaseException:
            if not in_place:
                self._deployer.stop(handle)
            raise
        if not claimed:
            if not in_place:
                self._deployer.stop(handle)
            return None
        if old is not None and not in_place:
            old.stop()
        return RunningDeployment(self._workspace, name, number, record)

    def _has_gone(self, before: RunningDeployment) -> bool:
        """What runs where it cannot be asked is left as it is."""
        try:
            gone = before.status is DeploymentStatus.UNKNOWN
        except DovetailError as error:
            _log.warning("Deployment '%s' at %s cannot be asked, so it is left as it is: %s", before.name, before.url, error)
            return True
        if gone:
            _log.warning("Deployment '%s' at %s cannot be reached from here, so it is left as it is. Stop it where it runs.", before.name, before.url)
        return gone

    def _deployment(self, name: str, wanted: Mapping[str, Any]) -> Deployment:
        artifacts = self._workspace.ledger.artifacts
        manifest = artifacts.get(wanted["digest"])
        materializers = {type_: spec.target for spec in self._workspace.registry.materializer_specs() for type_ in spec.types}
        return Deployment(
            name, artifacts.folder(wanted["digest"]), manifest.materializer, manifest.type, wanted["digest"],
            self._workspace.project.config / "deployments" / name / str(time.time_ns()),
            wanted["replicas"], wanted["settings"], trusted=self._workspace.store.trusted, materializers=materializers,
        )  # fmt: skip

    def _said(self, model: Any, name: str) -> dict[str, Any]:
        """Where it comes from: the stack and its deployer, the run that deploys it, and the model version that the artifact is of."""
        scope = current()
        here = {"run": scope.step_run.run_id, "invocation": scope.step_run.name} if scope is not None else {}
        components: Any = self._workspace.stack.snapshot()["components"]
        said = {
            "deployer": self._deployer.name, "stack": self._workspace.stack.name, "made_by": here,
            "component": components.get("model_deployer"),
        }  # fmt: skip
        from_run = (model.record or {}).get("run") if isinstance(model, Artifact) else here.get("run")
        models = (self._workspace.ledger.run(from_run).started() or {}).get("models", {}) if from_run else {}
        if models:
            of = name if name in models else next(iter(models))
            said["model"] = {"name": of, "version": models[of]}
        return said

    def _digest_of(self, model: Any) -> str:
        if isinstance(model, Artifact):
            return model.digest
        if isinstance(model, type | FunctionType | MethodType):
            raise DefinitionError(f"{model!r} is code, which cannot be deployed. Give an object whose class, in a module of the project, defines predict or __call__.")
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
