"""Portable machine-learning pipelines: written once in plain Python, run on any stack, with no server."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.authoring.in_step import get_pipeline_context as get_pipeline_context
    from dovetail.authoring.in_step import get_step_context as get_step_context
    from dovetail.authoring.in_step import load_artifact as load_artifact
    from dovetail.authoring.in_step import log_artifact_metadata as log_artifact_metadata
    from dovetail.authoring.in_step import log_metadata as log_metadata
    from dovetail.authoring.in_step import log_metrics as log_metrics
    from dovetail.authoring.in_step import log_model_metadata as log_model_metadata
    from dovetail.authoring.in_step import log_params as log_params
    from dovetail.authoring.in_step import save_artifact as save_artifact
    from dovetail.authoring.model import Model as Model
    from dovetail.authoring.pipeline import pipeline as pipeline
    from dovetail.authoring.step import step as step
    from dovetail.client.client import Client as Client
    from dovetail.errors import PromotionRefused as PromotionRefused
    from dovetail.errors import RunFailed as RunFailed
    from dovetail.graph.tracing import when as when
    from dovetail.materializers.finder import register_materializer as register_materializer
    from dovetail.materializers.interface import BaseMaterializer as BaseMaterializer
    from dovetail.values.artifacts import ArtifactConfig as ArtifactConfig
    from dovetail.values.artifacts import ArtifactType as ArtifactType
    from dovetail.values.artifacts import ExternalArtifact as ExternalArtifact
    from dovetail.values.model import ModelStage as ModelStage
    from dovetail.values.model import PromotionPolicy as PromotionPolicy
    from dovetail.values.settings import Environment as Environment
    from dovetail.values.settings import Resources as Resources
    from dovetail.values.settings import Retry as Retry
    from dovetail.values.settings import Schedule as Schedule

__version__ = "0.1.0"

_HOMES = {
    "dovetail.authoring.in_step": (
        "get_pipeline_context", "get_step_context", "load_artifact", "log_artifact_metadata", "log_metadata", "log_metrics",
        "log_model_metadata", "log_params", "save_artifact",
    ),
    "dovetail.authoring.model": ("Model",),
    "dovetail.authoring.pipeline": ("pipeline",),
    "dovetail.authoring.step": ("step",),
    "dovetail.client.client": ("Client",),
    "dovetail.errors": ("PromotionRefused", "RunFailed"),
    "dovetail.graph.tracing": ("when",),
    "dovetail.materializers.finder": ("register_materializer",),
    "dovetail.materializers.interface": ("BaseMaterializer",),
    "dovetail.values.artifacts": ("ArtifactConfig", "ArtifactType", "ExternalArtifact"),
    "dovetail.values.model": ("ModelStage", "PromotionPolicy"),
    "dovetail.values.settings": ("Environment", "Resources", "Retry", "Schedule"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # a sorted list of strings


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used, so that `import dovetail` costs next to nothing."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dovetail' has no attribute {name!r}")
    found = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *_HOME_OF]
