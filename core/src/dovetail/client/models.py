"""Models and their versions, as queries give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dovetail.client.views import Artifact, Named, Query, Run
from dovetail.errors import ConfigurationError, near
from dovetail.execution.scope import current
from dovetail.planning.readings import model_reading
from dovetail.values.model import ModelStage


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model."""

    query: Query
    name: str
    version: int
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<model {self.name} version {self.version}: {self.stage}>"

    @property
    def stage(self) -> str:
        return self.query.ledger.versions.stages(self.name).get(self.version, "none")

    @property
    def run(self) -> Run:
        return self.query.run(self.record["run"])

    @property
    def created(self) -> datetime:
        return datetime.fromtimestamp(self.record["at"], timezone.utc)

    @property
    def artifacts(self) -> Mapping[str, Artifact]:
        """Every output of the run that made the version, by output name; of two with one name, the later step's."""
        return Named("artifact", {name: artifact for step in self.run.steps.values() for name, artifact in step.outputs.items()})

    def get_artifact(self, name: str) -> Artifact:
        """Raises NotFound."""
        found: Artifact = self.artifacts[name]
        return found

    def load_artifact(self, name: str) -> Any:
        return self.get_artifact(name).load()

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric that its run logged."""
        return {name: value for step in self.run.steps.values() for name, value in step.metrics.items()}

    @property
    def metadata(self) -> dict[str, Any]:
        said = dict(self.record.get("metadata", {}))
        for step in self.run.steps.values():
            said.update((step.outcome or {}).get("model_metadata", {}))
        for change in self.query.later("model", f"{self.name}/{self.version}"):
            said.update(change.get("metadata", {}))
        return said

    @property
    def description(self) -> str | None:
        return self.record.get("description")

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.record.get("tags", ()))

    def promote(self, stage: str, *, reason: str | None = None) -> ModelVersion:
        """Give it a stage; whichever version held `staging` or `production` before is archived. Raises ConfigurationError for no stage."""
        wanted = stage.value if isinstance(stage, ModelStage) else stage
        if wanted not in [known.value for known in ModelStage]:
            raise ConfigurationError(f"{stage!r} is no stage of a model. {near(str(stage), [known.value for known in ModelStage])}")
        self.query.ledger.versions.promote(self.name, self.version, wanted, {"reason": reason} if reason else {})
        if "model_registry" in self.query.workspace.stack.components:
            from dovetail.execution.registering import tell_stage

            tell_stage(self.query.workspace, self.name, self.version, wanted)
        scope = current()
        if scope is not None:
            scope.note(model_reading(self.name, wanted, self.version))
        return self


@dataclass(frozen=True)
class RegisteredModel:
    """A model's versions, newest first."""

    name: str
    versions: list[ModelVersion]

    @property
    def latest(self) -> ModelVersion:
        return self.versions[0]
