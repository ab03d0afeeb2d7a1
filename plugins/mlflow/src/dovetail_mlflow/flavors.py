"""Models of Dovetail as MLflow keeps models: in MLflow's own flavor for their library, or read by their materializer."""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger("dovetail")
_READ_BY = "dovetail_mlflow.served_model"
READING = "dovetail.json"  # beside the payload, how to read it
PAYLOAD = "payload"
_FLAVORS = {
    "sklearn": "mlflow.sklearn",
    "xgboost": "mlflow.xgboost",
    "lightgbm": "mlflow.lightgbm",
    "catboost": "mlflow.catboost",
    "torch": "mlflow.pytorch",
    "keras": "mlflow.keras",
    "tensorflow": "mlflow.tensorflow",
    "statsmodels": "mlflow.statsmodels",
}


@dataclass(frozen=True)
class Payload:
    """A model as the artifact store has it. `folder`: its files; the rest is what it takes to read them, as a Deployment says it."""

    name: str
    folder: Path
    materializer: str
    type: str
    materializers: Mapping[str, str]
    trusted: bool

    def load(self) -> Any:
        """Raises DeploymentError for what has no predict(), and what the materializer raises."""
        from dovetail.local.serving import Serving, load_model

        return load_model(Serving.from_json(self.reading(str(self.folder))))

    def reading(self, model: str) -> dict[str, Any]:
        """What `dovetail.local.serving` goes by; `model` is where the files are."""
        from dovetail.components.serving.launch import import_folders

        return {
            "id": "", "name": self.name, "url": "", "model": model, "materializer": self.materializer, "type": self.type,
            "trusted": self.trusted, "require_token": False, "timeout": 0.0, "grace": 0.0, "max_request_bytes": 0,
            "materializers": dict(self.materializers), "path": list(import_folders()),
        }  # fmt: skip


def save(payload: Payload, target: Path) -> str:
    """Write an MLflow model folder that other tools can load, and give its flavor's name."""
    model = payload.load()
    flavor = _flavor_of(model)
    if flavor is not None:
        module = importlib.import_module(flavor)
        try:
            module.save_model(model, str(target), pip_requirements=_requirements(module))
            return flavor.rpartition(".")[2]
        except Exception as error:  # such as a class of the user's in a pipeline, which MLflow's safe format refuses
            _log.warning("MLflow's flavor %s cannot keep %s, so Dovetail reads it: %s", flavor, payload.type, str(error).splitlines()[0])
            shutil.rmtree(target, ignore_errors=True)
    _save_read_by_dovetail(payload, target, copied=True)
    return "python_function"


def save_for_serving(payload: Payload, target: Path) -> None:
    """Write an MLflow model folder that is read in place by the model's own materializer, all its methods kept."""
    _save_read_by_dovetail(payload, target, copied=False)


def _flavor_of(model: Any) -> str | None:
    for cls in type(model).__mro__:
        flavor = _FLAVORS.get(cls.__module__.partition(".")[0])
        if flavor is not None:
            return flavor
    return None


def _requirements(module: Any) -> list[str]:
    """MLflow's own defaults; otherwise it would start a process that loads the model to see what is imported."""
    return list(module.get_default_pip_requirements())


def _save_read_by_dovetail(payload: Payload, target: Path, *, copied: bool) -> None:
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec

    data = target.parent / f"{target.name}.data"
    data.mkdir(parents=True)
    if copied:
        shutil.copytree(payload.folder, data / PAYLOAD)
    reading = payload.reading("" if copied else str(payload.folder.absolute()))
    if copied:
        reading |= {"path": []}
    (data / READING).write_text(json.dumps(reading, indent=1), encoding="utf-8")
    params = ParamSchema([ParamSpec("method", "string", "predict"), ParamSpec("message", "string", "")])
    requirements = ["mlflow", "dovetail-mlflow"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example")  # there is none: what the model takes is its own affair
        pyfunc.save_model(
            str(target), loader_module=_READ_BY, data_path=str(data), signature=ModelSignature(params=params), pip_requirements=requirements
        )
    shutil.rmtree(data)
