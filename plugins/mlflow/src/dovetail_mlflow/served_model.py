"""What MLflow loads where a model is read by its Dovetail materializer: the loader module of its `python_function` flavor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail.local.serving import answer, load_model
from dovetail.local.serving_folder import Serving
from dovetail_mlflow.flavors import PAYLOAD, READING


class ServedModel:
    """`params["method"]` says which of the model's methods answers; `params["message"]` is data in Dovetail's own form, types kept."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        said = params or {}
        if said.get("message"):
            return [json.dumps(answer(self.model, json.loads(said["message"])))]
        method = said.get("method") or "predict"
        if method not in ("predict", "predict_proba"):
            raise ValueError(f"There is no method {method[:80]!r}; there are predict and predict_proba.")
        function = getattr(self.model, method, None) or self.model
        return function(model_input)


def _load_pyfunc(path: str) -> ServedModel:
    folder = Path(path)
    serving = Serving.from_json(json.loads((folder / READING).read_text(encoding="utf-8")))
    if not serving.model:
        serving = dataclasses.replace(serving, model=str(folder / PAYLOAD))
    return ServedModel(load_model(serving))
