"""Which library a model is of, and how a model of it is asked: rows go in, arrays or plain values come out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from dovetail.errors import DefinitionError

OWN = "materializer"  # the framework of a model that only its own materializer knows
_PICKLED = "dovetail.materializers.pickles:PickleMaterializer"
_NAMES = {
    "transformers": "transformers",
    "torch": "pytorch",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "sklearn": "scikit-learn",
}
_DISTRIBUTIONS = {"pytorch": "torch", OWN: ""}
METHODS = ("predict", "predict_proba")


class Predicts(Protocol):
    def predict(self, data: Any) -> Any:
        """One answer for each row."""


def framework_of(model: Any, materializer: str) -> str:
    """The name of the model's framework. `materializer`: `module:Class` of what saves it. Raises DefinitionError for what is no model."""
    cls = type(model)
    if not (hasattr(model, "predict") or callable(model)):
        raise DefinitionError(
            f"A {cls.__name__} cannot be served: it has no predict() and cannot be called. "
            "Give an estimator, a module of PyTorch, or an object whose class defines predict or __call__."
        )
    for base in cls.__mro__:
        found = _NAMES.get(base.__module__.partition(".")[0])
        if found is not None:
            return found
    if materializer != _PICKLED:
        return OWN
    raise DefinitionError(
        f"A {cls.__module__}.{cls.__qualname__} is of no framework that is known here ({', '.join(_NAMES.values())}), and nothing but "
        "pickle would save it. Write a BaseMaterializer for its class and register it, or wrap it into an estimator of scikit-learn."
    )


def distribution_of(framework: str) -> str:
    """The name by which pip knows it; "" where there is none."""
    return _DISTRIBUTIONS.get(framework, framework)


def methods_of(model: Any) -> tuple[str, ...]:
    """What can be asked of it. What can only be called answers `predict`."""
    return tuple(name for name in METHODS if name == "predict" or hasattr(model, name))


def askable(model: Any) -> Any:
    """The model itself where it takes rows as they come, else what turns them into what it takes."""
    for module, name, wrapper in _WRAPPERS:
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type) and isinstance(model, cls):
            return wrapper(model)
    return model


class _OfArrays:
    """Estimators that take arrays and frames, and no lists."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        return (lambda data: found(_array(data))) if name in METHODS else found


class _OfMatrices:
    """A Booster of XGBoost."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        if booster.feature_names:
            self.feature_names_in_ = booster.feature_names

    def predict(self, data: Any) -> Any:
        import xgboost

        return self._booster.predict(xgboost.DMatrix(_array(data)))


class _OfTensors:
    """A module of PyTorch: numbers become a tensor of its own type, whole numbers stay whole where its first layer looks them up."""

    def __init__(self, module: Any) -> None:
        self._module = module.eval()

    def predict(self, data: Any) -> Any:
        import torch

        with torch.inference_mode():
            return _numbers(self._module(self._tensor(data)))

    def _tensor(self, data: Any) -> Any:
        import torch

        parameter = next(self._module.parameters(), None)
        tensor = torch.as_tensor(data.to_numpy() if hasattr(data, "to_numpy") else data)
        if parameter is None:
            return tensor
        looked_up = not tensor.is_floating_point() and self._looks_up()
        return tensor.to(parameter.device, tensor.dtype if looked_up else parameter.dtype)

    def _looks_up(self) -> bool:
        import torch

        first = next((each for each in self._module.modules() if next(each.parameters(recurse=False), None) is not None), None)
        return isinstance(first, torch.nn.Embedding | torch.nn.EmbeddingBag)


def _array(data: Any) -> Any:
    import numpy as np

    return np.asarray(data) if isinstance(data, list | tuple) else data


def _numbers(answer: Any) -> Any:
    """Tensors as arrays; of what a model of transformers answers, the logits where there are some."""
    import torch

    if isinstance(answer, torch.Tensor):
        return answer.cpu().float().numpy() if answer.dtype is torch.bfloat16 else answer.cpu().numpy()
    if isinstance(answer, Mapping):
        return _numbers(answer["logits"]) if "logits" in answer else {name: _numbers(value) for name, value in answer.items()}
    return [_numbers(each) for each in answer] if isinstance(answer, list | tuple) else answer


_WRAPPERS = (
    ("xgboost", "Booster", _OfMatrices),
    ("xgboost", "XGBModel", _OfArrays),
    ("lightgbm", "Booster", _OfArrays),
    ("lightgbm", "LGBMModel", _OfArrays),
    ("torch.nn", "Module", _OfTensors),
)
