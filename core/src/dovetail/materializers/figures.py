"""Matplotlib figures: pickled, since nothing else brings a figure back, and drawn for who looks at the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.materializers import pickles
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json


class FigureMaterializer(BaseMaterializer):
    """A figure made by pyplot comes back detached from it: loading opens no window."""

    ASSOCIATED_TYPES = ("matplotlib.figure.Figure",)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA_ANALYSIS
    deterministic = False
    pickled = True

    def save(self, value: Any) -> None:
        pickles.write(value, self.uri, {"matplotlib": library("matplotlib").__version__}, state_of=_detached)

    def load(self, data_type: Any) -> Any:
        return pickles.read(self.uri)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        width, height = value.get_size_inches()
        return {"axes": len(value.axes), "width_inches": float(width), "height_inches": float(height)}

    def save_visualizations(self, value: Any) -> Mapping[str, str]:
        value.savefig(f"{self.uri}/figure.png", format="png", metadata={"Software": None})
        return {"figure.png": "image"}


def _detached(value: Any) -> Any:
    if not isinstance(value, library("matplotlib.figure").Figure):
        return None
    state = value.__getstate__()
    state.pop("_restore_to_pylab", None)
    return state
