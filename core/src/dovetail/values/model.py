"""Models and their stages, as a pipeline or step names them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import DefinitionError
from dovetail.values.names import check_template


class ModelStage(str, enum.Enum):
    """One version of a model holds `staging`, and one `production`, at a time."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Model:
    """The model that a pipeline or step works on.

    Without `version` a run claims the next number when it starts; with a number or a stage it uses that version.
    `name` may hold `{date}`, `{time}` and substitutions.
    """

    name: str
    version: int | str | ModelStage | None = None
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_template("model", self.name)
        object.__setattr__(self, "tags", tuple(self.tags))
        stages = [stage.value for stage in ModelStage]
        if isinstance(self.version, str) and self.version not in stages and not self.version.isdecimal():
            raise DefinitionError(f"Model version {self.version!r} is neither a number nor a stage; stages are {', '.join(stages)}.")

    def to_json(self) -> dict[str, Any]:
        version = self.version.value if isinstance(self.version, ModelStage) else self.version
        fields = {"name": self.name, "version": version, "description": self.description, "license": self.license}
        return {**fields, "tags": list(self.tags), "metadata": dict(self.metadata)}
