"""Scikit-learn estimators: pickled, and checked against the version that reads them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from dovetail.materializers import pickles
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json, type_name

_LIBRARY = "scikit-learn"


class EstimatorMaterializer(BaseMaterializer):
    """Scikit-learn promises nothing between versions: another minor version reads with a warning, or fails with both named."""

    ASSOCIATED_TYPES = ("sklearn.base.BaseEstimator",)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL
    deterministic = False
    pickled = True

    def save(self, value: Any) -> None:
        pickles.write(value, self.uri, {_LIBRARY: library("sklearn", _LIBRARY).__version__})

    def load(self, data_type: Any) -> Any:
        here = library("sklearn", _LIBRARY).__version__
        there = pickles.surroundings(self.uri)["versions"].get(_LIBRARY, "an unknown version")
        if here == there:
            return pickles.read(self.uri)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Trying to unpickle estimator", category=UserWarning)  # once is enough
            value = pickles.read(self.uri)
        if there.split(".")[:2] != here.split(".")[:2]:
            warnings.warn(
                f"A {type(value).__name__} that {_LIBRARY} {there} saved is read by {_LIBRARY} {here}, and may predict otherwise "
                "or fail "
                f"later. Install {_LIBRARY}=={there}, or train it again.",
                stacklevel=2,
            )
        return value

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        found: dict[str, Json] = {"estimator": type_name(type(value))}
        if hasattr(value, "n_features_in_"):
            found["features"] = int(value.n_features_in_)
        return found
