"""What is said of an artifact besides its bytes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.values.encoding import Json


class ArtifactType(str, enum.Enum):
    """What an artifact is to a person; shown and filtered by, never acted on."""

    DATA = "data"
    MODEL = "model"
    DATA_ANALYSIS = "data_analysis"
    STATISTICS = "statistics"
    SCHEMA = "schema"
    SERVICE = "service"
    BASE = "base"


@dataclass(frozen=True)
class ArtifactConfig:
    """Said of an output inside `Annotated[T, ArtifactConfig(...)]`.

    `name` names the artifact in the whole store, and may hold `{date}`, `{time}` and substitutions.
    """

    name: str | None = None
    artifact_type: ArtifactType | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tuple(self.tags))


@dataclass(frozen=True)
class ExternalArtifact:
    """A value from outside the pipeline, stored as an artifact when the pipeline is planned; its content is part of the key.

    `value`: anything that has a materializer. `materializer`: the class to save it with, when not the usual one.
    """

    value: Any
    materializer: type | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What makes a payload readable: written last, so an artifact is visible whole or not at all.

    `files` maps a path below `data/` to its size in bytes and its hash. The digest covers `type`, `materializer`,
    `format`, `files` and `items`, not `metadata` and `visualizations`, which are derived from the value.
    `items` lists the digests of a list that was stored item by item; such an artifact has no files.
    """

    type: str
    materializer: str
    format: int
    files: Mapping[str, tuple[int, str]]
    artifact_type: str = ArtifactType.DATA.value
    pickled: bool = False
    deterministic: bool = True
    metadata: Mapping[str, Json] = field(default_factory=dict)
    visualizations: Mapping[str, str] = field(default_factory=dict)
    items: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes of payload, without that of the items."""
        return sum(size for size, _ in self.files.values())

    def covered(self) -> dict[str, Json]:
        """The part that the digest is taken of."""
        covered: dict[str, Any] = {
            "type": self.type,
            "materializer": self.materializer,
            "format": self.format,
            "files": {path: list(entry) for path, entry in self.files.items()},
        }
        if self.items is not None:
            covered["items"] = list(self.items)
        return covered

    def to_json(self) -> dict[str, Json]:
        extra: dict[str, Any] = {"artifact_type": self.artifact_type}
        if self.pickled:
            extra["pickled"] = True
        if not self.deterministic:
            extra["deterministic"] = False
        if self.metadata:
            extra["metadata"] = dict(self.metadata)
        if self.visualizations:
            extra["visualizations"] = dict(self.visualizations)
        return {**self.covered(), **extra}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Manifest:
        files = {str(path): (int(size), str(hashed)) for path, (size, hashed) in record["files"].items()}
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        items = tuple(record["items"]) if record.get("items") is not None else None
        return cls(**{**known, "files": files, "items": items})
