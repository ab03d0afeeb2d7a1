"""Ready-made steps. `from dovetail_bentoml.steps import bento_builder`."""

from __future__ import annotations

from typing import Annotated, Any

from dovetail import step
from dovetail_bentoml.bento import Bento
from dovetail_bentoml.building import build_bento


@step
def bento_builder(
    model: Any, name: str, labels: dict[str, str] | None = None, requirements: list[str] | None = None, require_token: bool = True
) -> Annotated[Bento, "bento"]:
    """Package the model as a Bento and keep that as an artifact: `deploy_model` takes it, and so does `build_image`."""
    return build_bento(model, name, labels=labels, requirements=requirements or (), require_token=require_token)
