"""Serves models behind an endpoint."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from dovetail.components.component import Component
from dovetail.values.encoding import Json


class DeploymentStatus(str, enum.Enum):
    """`unknown`: it cannot be asked from here, as when it runs on another machine and does not answer."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is to be served. `model`: the local folder of the artifact's payload; `materializer` and `type` read it.

    `settings`: what `deploy_model` was given beyond the model and its name; a deployer refuses those it does not know.
    `folder`: where the deployer may keep its own files; it outlives the process. `materializers`: all that plugins
    declare, from the full name of a class to an import string, for the process that loads the model.
    """

    name: str
    model: Path
    materializer: str
    type: str
    digest: str
    folder: Path
    replicas: int = 1
    settings: Mapping[str, Json] = field(default_factory=dict)
    trusted: bool = False
    materializers: Mapping[str, str] = field(default_factory=dict)


class ModelDeployer(Component):
    """A handle is what `start` returned: small JSON that finds the deployment again from any process; it holds `url`."""

    component_type: ClassVar[str] = "model_deployer"

    @abstractmethod
    def start(self, deployment: Deployment) -> dict[str, Json]:
        """Serve it, wait until it is healthy and return its handle; DeploymentError with the log's last lines if it never is."""

    @abstractmethod
    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus: ...

    @abstractmethod
    def predict(self, handle: Mapping[str, Any], data: Any, method: str = "predict") -> Any:
        """The model's answers for `data`: rows as lists, arrays, frames or dicts, as the model takes them.

        `method`: which of the model's methods answers. Raises DeploymentError when it does not serve or cannot answer.
        """

    @abstractmethod
    def logs(self, handle: Mapping[str, Any], lines: int) -> Sequence[str]:
        """The last lines of the serving process."""

    @abstractmethod
    def stop(self, handle: Mapping[str, Any]) -> None:
        """End it; no error when it has ended already."""

    def update(self, handle: Mapping[str, Any], deployment: Deployment) -> dict[str, Json]:
        """Serve this deployment in the place of the one that `handle` finds, and return the handle of what serves then.

        Raises DeploymentError if the new one never gets healthy; the old one serves on then. By default the new one is started,
        and then the old one stopped: it keeps its address only where that follows from the name.
        """
        made = self.start(deployment)
        try:
            self.stop(handle)
        except BaseException:
            self.stop(made)
            raise
        return made

    def explain(self, handle: Mapping[str, Any]) -> str:
        """Why it does not serve, as one sentence; "" where that cannot be told."""
        return ""
