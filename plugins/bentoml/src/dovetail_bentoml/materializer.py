"""Bentos as artifacts: the folder as it is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json
from dovetail_bentoml.bento import Bento

BENTO = "bento"  # below the payload


class BentoMaterializer(BaseMaterializer):
    """Marked as pickled: a Bento's service is code, so one is taken from a trusted store only."""

    ASSOCIATED_TYPES = (Bento,)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.SERVICE
    pickled = True

    def save(self, value: Bento) -> None:
        shutil.copytree(value.folder, Path(self.uri, BENTO), copy_function=shutil.copyfile)

    def load(self, data_type: Any) -> Bento:
        return Bento.read(Path(self.uri, BENTO))

    def extract_metadata(self, value: Bento) -> Mapping[str, Json]:
        return {"tag": value.tag, "framework": value.framework, "model": value.model, "methods": list(value.methods), "labels": dict(value.labels)}
