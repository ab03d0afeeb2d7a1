"""XGBoost and LightGBM: boosters in their libraries' own formats, and the scikit-learn wrappers around them as their state.

Nothing is pickled. Yet both libraries' readers follow a model's numbers blindly, and a crafted file makes them write where
they should not; so a booster is read from a trusted store only.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.materializers.structure import load_document, save_document
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json, type_name

_ENCODER = "_le"  # LightGBM's label encoder, of which its classes are all there is


class XGBoostMaterializer(BaseMaterializer):
    """A Booster as UBJ. The parameters of its training are not part of a model."""

    ASSOCIATED_TYPES = ("xgboost.core.Booster",)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL

    def save(self, value: Any) -> None:
        value.save_model(f"{self.uri}/model.ubj")

    def load(self, data_type: Any) -> Any:
        _check_trusted("XGBoost", self)
        return library("xgboost").Booster(model_file=f"{self.uri}/model.ubj")

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"rounds": int(value.num_boosted_rounds()), "features": int(value.num_features())}


class LightGBMMaterializer(BaseMaterializer):
    """A Booster as LightGBM's text."""

    ASSOCIATED_TYPES = ("lightgbm.basic.Booster",)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL

    def save(self, value: Any) -> None:
        with open(f"{self.uri}/model.txt", "x", encoding="utf-8") as file:
            file.write(value.model_to_string(num_iteration=-1))
        about = {"best_iteration": value.best_iteration, "best_score": value.best_score, "params": value.params}
        save_document(self.uri, "booster.json", about, self.nested)

    def load(self, data_type: Any) -> Any:
        _check_trusted("LightGBM", self)
        about = load_document(self.uri, "booster.json", self.nested)
        with open(f"{self.uri}/model.txt", encoding="utf-8") as file:
            booster = library("lightgbm").Booster(model_str=file.read())
        booster.best_iteration, booster.best_score, booster.params = about["best_iteration"], about["best_score"], about["params"]
        return booster

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"trees": int(value.num_trees()), "features": int(value.num_feature())}


class BoostedEstimatorMaterializer(BaseMaterializer):
    """A wrapper's attributes, its Booster among them. Subclasses are not known here and pickled as other estimators are."""

    ASSOCIATED_TYPES = (
        *(f"xgboost.sklearn.XGB{kind}" for kind in ["Model", "Classifier", "Regressor", "Ranker", "RFClassifier", "RFRegressor"]),
        *(f"lightgbm.sklearn.LGBM{kind}" for kind in ["Model", "Classifier", "Regressor", "Ranker"]),
    )
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL

    def save(self, value: Any) -> None:
        cls = type(value)
        state = {name: item for name, item in vars(value).items() if name != _ENCODER}
        classes = getattr(vars(value).get(_ENCODER), "classes_", None)
        document = {"class": f"{cls.__module__}.{cls.__qualname__}", "state": state, "classes": classes}
        save_document(self.uri, "estimator.json", document, self.nested)

    def load(self, data_type: Any) -> Any:
        document = load_document(self.uri, "estimator.json", self.nested)
        if document["class"] not in self.ASSOCIATED_TYPES:
            raise MaterializerError(
                f"{self.uri} names {str(document['class'])[:60]!r}, which is no estimator of XGBoost or LightGBM."
            )
        module, _, name = document["class"].rpartition(".")
        library(module.partition(".")[0])
        cls = getattr(importlib.import_module(module), name)
        made = cls.__new__(cls)
        vars(made).update(document["state"])
        if document["classes"] is not None:
            encoder = library("sklearn.preprocessing", "scikit-learn").LabelEncoder()
            encoder.classes_ = document["classes"]
            setattr(made, _ENCODER, encoder)
        return made

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"estimator": type_name(type(value))}


def _check_trusted(name: str, materializer: BaseMaterializer) -> None:
    if not materializer.nested.trusted:
        raise MaterializerError(
            f"The model in {materializer.uri} is {name}'s, whose reader a crafted file can break, and its store is not marked as "
            "trusted. "
            f"Set `trusted: true` in the artifact store's configuration if you trust everyone who can write to it."
        )
