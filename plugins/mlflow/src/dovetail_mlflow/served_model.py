"""What MLflow loads where a model is read by its Dovetail materializer: the loader module of its `python_function` flavor."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail.local.serving import Refused, Serving, answer, load_model
from dovetail_mlflow.flavors import PAYLOAD, READING
from dovetail_mlflow.model_deployer import SERVING


class ServedModel:
    """`params["method"]` says which of the model's methods answers; `params["message"]` is data in Dovetail's own form, types kept."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        said = params or {}
        if said.get("message"):
            return [self._answer(said["message"])]
        method = said.get("method") or "predict"
        if method not in ("predict", "predict_proba"):
            raise ValueError(f"There is no method {method[:80]!r}; there are predict and predict_proba.")
        function = getattr(self.model, method, None) or self.model
        return function(model_input)

    def _answer(self, message: str) -> str:
        try:
            return json.dumps(answer(self.model, json.loads(message)), allow_nan=False)
        except Refused as refused:
            return json.dumps({"error": str(refused)})


def _load_pyfunc(path: str) -> ServedModel:
    folder = Path(path)
    serving = Serving.from_json(json.loads((folder / READING).read_text(encoding="utf-8")))
    if not serving.model:
        serving = dataclasses.replace(serving, model=str(folder / PAYLOAD))
    try:
        return ServedModel(load_model(serving))
    except Exception:
        if os.environ.get(SERVING):
            _give_up()
        raise


def _give_up() -> None:
    """End the whole group that was started to serve: a server with several workers would start this one anew for ever."""
    traceback.print_exc()
    sys.stdout.flush()
    os.killpg(0, signal.SIGKILL)
