"""Models and pipelines of transformers: configuration as JSON, weights as safetensors, no pickle, and no code from elsewhere."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json

_ABOUT = "transformers.json"
_PRETRAINED = "pretrained"
_OWN = "transformers"


class TransformersMaterializer(BaseMaterializer):
    """What `save_pretrained` writes. A class of somebody else's, with code of its own, is refused: it could not be read without that."""

    ASSOCIATED_TYPES = ("transformers.pipelines.base.Pipeline", "transformers.modeling_utils.PreTrainedModel")
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL

    def save(self, value: Any) -> None:
        model, task = _parts(value)
        _require_own(type(model))
        value.save_pretrained(os.path.join(self.uri, _PRETRAINED))
        with open(os.path.join(self.uri, _ABOUT), "x", encoding="utf-8") as file:
            json.dump({"class": f"{type(model).__module__}:{type(model).__qualname__}", "task": task}, file)

    def load(self, data_type: Any) -> Any:
        transformers = library("transformers")
        with open(os.path.join(self.uri, _ABOUT), encoding="utf-8") as file:
            about = json.load(file)
        folder = os.path.join(self.uri, _PRETRAINED)
        model = _class_named(about["class"]).from_pretrained(folder, local_files_only=True, use_safetensors=True, trust_remote_code=False)
        if about["task"] is None:
            return model
        return transformers.pipeline(about["task"], model=model, tokenizer=folder, device="cpu", trust_remote_code=False)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        model, task = _parts(value)
        return {"class": type(model).__name__, "task": task, "parameters": int(model.num_parameters())}


def _parts(value: Any) -> tuple[Any, str | None]:
    """The model, and the task of the pipeline around it, where there is one."""
    task = getattr(value, "task", None)
    return (value.model, str(task)) if task is not None else (value, None)


def _require_own(cls: type) -> None:
    if cls.__module__.partition(".")[0] != _OWN:
        raise MaterializerError(
            f"{cls.__module__}.{cls.__qualname__} is no class of transformers itself, so that it could not be read without its code. "
            "Return the model of transformers that it is made of, or write a BaseMaterializer for it and register it."
        )


def _class_named(name: object) -> Any:
    module, _, qualname = str(name).partition(":")
    if module.partition(".")[0] != _OWN or "." in qualname:
        raise MaterializerError(f"The model names {str(name)[:80]!r} as its class, which is none of transformers.")
    try:
        found = getattr(importlib.import_module(module), qualname)
    except (ImportError, AttributeError) as error:
        raise MaterializerError(f"The model's class {str(name)[:80]!r} cannot be found: {error}. Install the transformers that it was saved with.") from error
    if not (isinstance(found, type) and issubclass(found, library("transformers").PreTrainedModel)):
        raise MaterializerError(f"The model names {str(name)[:80]!r} as its class, which is no model.")
    return found
