"""A model as pipelines and steps name it, and reach what belongs to its versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dovetail.graph import tracing
from dovetail.values.model import ModelArtifact, ModelSpec, pin


@dataclass(frozen=True)
class Model(ModelSpec):
    """The model that a pipeline or step works on, or uses.

    Without `version` a run claims the next number when it starts; with a number or a stage it uses that version, which the plan pins:
    all steps of a run see the same one, whatever is promoted meanwhile. `name` may hold `{date}`, `{time}` and substitutions.
    `promotion`: what a version must keep to before it is given a stage, by stage; it is kept with each version that a run claims.
    """

    def load_artifact(self, name: str) -> Any:
        """The value of an output, by its name, of the run that made the version.

        In a pipeline function it stands for that artifact, to be given to a step. Raises NotFound.
        """
        return self._found(name) if tracing.current.get() is not None else self._version().load_artifact(name)

    def get_artifact(self, name: str) -> Any:
        """The same as an artifact that is not loaded yet."""
        return self._found(name) if tracing.current.get() is not None else self._version().get_artifact(name)

    @property
    def number(self) -> int:
        """Of the version that is meant, the newest where none is said. Raises NotFound."""
        found: int = self._version().version
        return found

    @property
    def metrics(self) -> Mapping[str, float]:
        """Those of the version that is meant. Raises NotFound."""
        found: Mapping[str, float] = self._version().metrics
        return found

    def _found(self, artifact: str) -> ModelArtifact:
        return ModelArtifact(self.name, self.wanted, artifact)

    def _version(self) -> Any:
        from dovetail.client.client import Client
        from dovetail.execution.scope import current
        from dovetail.planning.readings import model_reading

        scope = current()
        pinned = scope.pins.get(pin(self.name, self.wanted)) if scope is not None else None
        if scope is None or pinned is None:
            return Client().get_model_version(self.name, self.wanted)
        found = Client().get_model_version(self.name, pinned)
        scope.note(model_reading(self.name, self.wanted, pinned))
        return found
