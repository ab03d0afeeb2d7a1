"""Models of Vertex AI: the payload in a bucket, the container that serves it, and the upload that makes a model of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dovetail.components import ArtifactStore
from dovetail.errors import ConfigurationError
from dovetail_gcp.vertex_client import VertexConnection

DESCRIBED = "DOVETAIL_MODEL"  # the variable by which the container is told how to read the payload
PORT = 8080
_SLOW = 1800.0  # seconds for what the service does with a model


@dataclass(frozen=True)
class Payload:
    """How to read what lies in a folder: see `Deployment` of the interface of model deployers."""

    name: str
    materializer: str
    type: str
    trusted: bool = False
    materializers: Mapping[str, str] = field(default_factory=dict)


class VertexModels(VertexConnection):
    """What makes models of Vertex AI. Their payload is copied to `bucket`, from where the service takes its own copy."""

    image: str = field(metadata={"help": "Image that serves models: with Dovetail, this plugin and what the models import."})
    bucket: str = field(metadata={"help": "Where models' files are put, as gs://bucket/folder, in the same region."})
    python: str = field(default="python", metadata={"help": "The image's Python that has Dovetail."})
    encryption_key: str | None = field(default=None, metadata={"help": "A key of Cloud KMS, as projects/P/locations/L/keyRings/R/cryptoKeys/K."})
    labels: dict[str, str] = field(default_factory=dict, metadata={"help": "More labels for what is made."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bucket.startswith("gs://"):
            raise ConfigurationError(f"`bucket` is {self.bucket!r}. Write it as gs://bucket/folder.")

    def staged(self, folder: Path, digest: str) -> str:
        """The gs:// address of a copy of the folder's files; of equal files there is one."""
        place = f"{self.bucket.rstrip('/')}/models/{digest}"
        store = self._bucket(place)
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            store.create(file.relative_to(folder).as_posix(), file)
        return place

    def _check_models(self, collection: str) -> list[str]:
        """What keeps this component from its service, or from its bucket."""
        found = self._check_access(collection)
        return found or [f"{self._subject()}, for its `bucket`: {problem}" for problem in self._bucket(f"{self.bucket.rstrip('/')}/models").check()]

    def _bucket(self, place: str) -> ArtifactStore:
        from dovetail_gcp.artifact_store import GcsArtifactStore

        store = GcsArtifactStore(path=place, project=self.project, key=self.key, impersonate=self.impersonate, attempts=self.attempts)
        store.called(self.name, "gcs")
        return store

    def container(self, payload: Payload | None, image: str | None = None) -> dict[str, Any]:
        """The ModelContainerSpec: a server of this plugin, by the contract that Vertex AI has with containers."""
        told = [{"name": DESCRIBED, "value": json.dumps(asdict(payload))}] if payload is not None else []
        return {
            "imageUri": image or self.image, "command": [self.python, "-m", "dovetail_gcp.vertex_serving"], "env": told,
            "ports": [{"containerPort": PORT}], "predictRoute": "/predict", "healthRoute": "/health",
        }  # fmt: skip

    def uploaded(self, model: Mapping[str, Any], what: str, **more: Any) -> dict[str, Any]:
        """The answer of an upload, once it is done: `model`, the name, and `modelVersionId`. `more`: `modelId`, `parentModel`."""
        asked = {**model, "encryptionSpec": {"kmsKeyName": self.encryption_key}} if self.encryption_key else dict(model)
        begun = self.vertex("POST", f"{self.parent()}/models:upload", what, {"model": asked, **more})
        return self.finished(begun, what, _SLOW)


def digest_of(folder: Path) -> str:
    """Of the files in it, with their names."""
    found = hashlib.sha256()
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        found.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as opened:
            while block := opened.read(1 << 20):
                found.update(block)
    return found.hexdigest()
