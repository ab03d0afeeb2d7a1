"""A model that answers messages, as the servers of all deployers have it, whatever they listen with."""

from __future__ import annotations

import dataclasses
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.components.serving.data import library, pack, unpack
from dovetail.errors import DeploymentError, DovetailError
from dovetail.values.encoding import Json

METHODS = ("predict", "predict_proba")


@dataclass(frozen=True, slots=True)
class Serving:
    """What a server needs to know. `path`: import folders beyond its own; `timeout`, `grace`: seconds."""

    id: str
    name: str
    url: str
    model: str
    materializer: str
    type: str
    trusted: bool
    require_token: bool
    timeout: float
    grace: float
    max_request_bytes: int
    materializers: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, "path": list(self.path)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Serving:
        return cls(**{**record, "path": tuple(record["path"])})


class Refused(Exception):
    """A request that is answered with `status` and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def load_model(serving: Serving) -> Any:
    """The model as its materializer reads it. Raises MaterializerError, or whatever the materializer raises."""
    from dovetail.materializers.builtin import SPECS
    from dovetail.materializers.finder import Materializers
    from dovetail.materializers.interface import MaterializerSpec
    from dovetail.values.imports import RecordedTypes

    sys.path[:] = [place for place in sys.path if place not in ("", str(Path.cwd()))]
    sys.path += [place for place in serving.path if place not in sys.path]
    specs = [MaterializerSpec((name,), target) for name, target in serving.materializers.items()]
    plugins = frozenset(spec.target.partition(":")[0].partition(".")[0] for spec in specs)
    materializers = Materializers([*specs, *SPECS], RecordedTypes(plugins=plugins))
    model = materializers.load(serving.model, serving.materializer, serving.type, trusted=serving.trusted)
    if not (hasattr(model, "predict") or callable(model)):
        raise DeploymentError(
            f"{serving.name!r} is a {type(model).__name__}, which cannot be served: it has no predict() and cannot be called. "
            f"Deploy an estimator, or an object whose class defines predict or __call__."
        )
    return model


def answer(model: Any, message: Mapping[str, Any], *, plain: bool = False) -> dict[str, Any]:
    """The message that answers; raises Refused where the data cannot be read or the model raises. `plain`: no value in it is marked."""
    function = _function(model, message.get("method", "predict"))
    try:
        kind = "frame" if "columns" in message else "rows"
        data = _suited(model, unpack(message.get("columns", message.get("instances")), message, kind, plain=plain))
    except Exception as error:  # numpy and pandas raise of every kind for data that makes no array or frame
        raise Refused(400, f"The data cannot be read: {error}") from error
    try:
        predictions = function(data)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise Refused(400, f"The model raised {type(error).__name__}: {error}") from error
    try:
        packed, form = pack(predictions)
    except (DovetailError, RecursionError) as error:
        raise Refused(400, f"The model answered with what has no form as JSON: {error}") from error
    return {"predictions": packed, **form}


def _function(model: Any, method: object) -> Any:
    if method not in METHODS:
        raise Refused(400, f"There is no method {str(method)[:80]!r}; there are {' and '.join(METHODS)}.")
    function = getattr(model, str(method), None)
    if function is None and method == "predict":
        return model
    if function is None:
        raise Refused(400, f"The model, a {type(model).__name__}, has no {method}.")
    return function


def _suited(model: Any, data: Any) -> Any:
    """Rows given as dicts become a frame for an estimator that was fitted on one."""
    named = isinstance(data, list) and data and all(isinstance(row, dict) for row in data)
    pandas = library("pandas") if named and hasattr(model, "feature_names_in_") else None
    return data if pandas is None else pandas.DataFrame(data)
