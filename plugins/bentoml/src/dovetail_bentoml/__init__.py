"""BentoML: models as Bentos, kept as artifacts, served on this machine, built into images.

`from dovetail_bentoml import Bento, build_bento, build_image`; the ready-made step is `dovetail_bentoml.steps.bento_builder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dovetail.plugin import FlavorSpec, MaterializerSpec, hookimpl

if TYPE_CHECKING:
    from dovetail_bentoml.bento import Bento as Bento
    from dovetail_bentoml.building import build_bento as build_bento
    from dovetail_bentoml.image import build_image as build_image

_REQUIRES = ("bentoml>=1.4.20,<1.5",)
_HOMES = {"Bento": "bento", "build_bento": "building", "build_image": "image"}
_TRANSFORMERS = (
    "transformers.pipelines.base.Pipeline",
    "transformers.modeling_utils.PreTrainedModel",
)


@hookimpl
def dovetail_model_deployers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("bentoml", "dovetail_bentoml.model_deployer:BentoMLModelDeployer", _REQUIRES, "BentoML's server on this machine.")]


@hookimpl
def dovetail_materializers() -> Sequence[MaterializerSpec]:
    return [
        MaterializerSpec(("dovetail_bentoml.bento.Bento",), "dovetail_bentoml.materializer:BentoMaterializer"),
        MaterializerSpec(_TRANSFORMERS, "dovetail_bentoml.transformers_models:TransformersMaterializer"),
    ]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
