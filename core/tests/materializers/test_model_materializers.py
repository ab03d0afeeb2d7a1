from __future__ import annotations

import json
import warnings
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from dovetail.errors import MaterializerError
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

RANDOM = np.random.default_rng(0)
X = pd.DataFrame(RANDOM.random((80, 3)), columns=["a", "b", "c"])
Y = (X["a"] > 0.5).astype(int)
GROUPS = [40, 40]


class Own(BaseEstimator):
    def __init__(self, a: int = 1) -> None:
        self.a = a


def test_estimators_come_back_and_predict_the_same(shelf: Any) -> None:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, Y)
    folder, saved = shelf.save(model)
    loaded = shelf.load(folder, saved)
    assert type(loaded) is type(model)
    assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
    assert (saved.pickled, saved.deterministic, saved.artifact_type) == (True, False, "model")
    assert saved.metadata == {"estimator": "sklearn.pipeline:Pipeline", "features": 3}
    assert type(shelf.round_trip({"own": Own(3)})["own"]) is Own
    with pytest.raises(MaterializerError, match="trusted: true"):
        shelf.load(folder, saved, trusted=False)


def other_version(folder: Any, version: str) -> None:
    file = folder / "surroundings.json"
    found = json.loads(file.read_text())
    found["versions"]["scikit-learn"] = version
    file.write_text(json.dumps(found))


def test_an_estimator_of_another_version_loads_with_one_warning_that_names_both(shelf: Any) -> None:
    import sklearn

    folder, saved = shelf.save(LogisticRegression().fit(X, Y))
    other_version(folder, "0.24.1")
    with pytest.warns(UserWarning, match=rf"scikit-learn 0\.24\.1 saved is read by scikit-learn {sklearn.__version__}.*Install"):
        assert shelf.load(folder, saved).predict(X).shape == (80,)
    major, minor = sklearn.__version__.split(".")[:2]
    other_version(folder, f"{major}.{minor}.99")
    assert type(shelf.load(folder, saved)) is LogisticRegression


def test_an_estimator_that_cannot_be_read_names_the_version_it_was_saved_with(shelf: Any) -> None:
    folder, saved = shelf.save(LogisticRegression())
    other_version(folder, "0.24.1")
    (folder / "value.pkl").write_bytes(b"\x80\x05csklearn.gone\nThing\n.")
    with pytest.raises(MaterializerError, match=r"saved with Python .* and scikit-learn 0\.24\.1"):
        shelf.load(folder, saved)


def test_an_estimator_with_a_lambda_is_refused_with_the_cure(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match="functions at module level"):
        shelf.save(make_pipeline(FunctionTransformer(lambda x: x)))


def booster() -> xgboost.Booster:
    return xgboost.train({"max_depth": 2, "objective": "binary:logistic"}, xgboost.DMatrix(X, Y), 5)


def test_an_xgboost_booster_comes_back_without_pickle(shelf: Any) -> None:
    model = booster()
    model.set_attr(note="kept")
    folder, saved = shelf.save(model)
    loaded = shelf.load(folder, saved)
    assert type(loaded) is xgboost.Booster
    assert not saved.pickled
    assert (loaded.predict(xgboost.DMatrix(X)) == model.predict(xgboost.DMatrix(X))).all()
    assert loaded.feature_names == ["a", "b", "c"]
    assert loaded.attr("note") == "kept"
    assert [file.name for file in folder.iterdir()] == ["model.ubj"]
    assert saved.metadata == {"rounds": 5, "features": 3}
    assert shelf.content(loaded) == shelf.files(folder) == shelf.content(model)


WRAPPERS: list[tuple[Any, dict[str, Any]]] = [
    (xgboost.XGBClassifier, {"max_depth": 2, "missing": float("nan"), "eval_metric": ["logloss"]}),
    (xgboost.XGBRegressor, {}),
    (xgboost.XGBRanker, {}),
    (xgboost.XGBRFClassifier, {}),
    (xgboost.XGBRFRegressor, {}),
    (lightgbm.LGBMClassifier, {"verbose": -1}),
    (lightgbm.LGBMRegressor, {"verbose": -1}),
    (lightgbm.LGBMRanker, {"verbose": -1}),
]


@pytest.mark.filterwarnings("ignore:The argument 'eval_set'", "ignore:.*XGBRF")
@pytest.mark.parametrize(("cls", "parameters"), WRAPPERS, ids=[cls.__name__ for cls, _ in WRAPPERS])
def test_wrappers_of_boosters_come_back_without_pickle(shelf: Any, cls: Any, parameters: dict[str, Any]) -> None:
    estimator = cls(n_estimators=4, **parameters)
    unfitted = shelf.round_trip(estimator, trusted=False)
    assert type(unfitted) is type(estimator)
    assert repr(unfitted.get_params()) == repr(estimator.get_params())
    ranks = {"group": GROUPS} if "Ranker" in type(estimator).__name__ else {}
    watched = {"eval_set": [(X, Y)], **({"eval_group": [GROUPS]} if ranks else {})} if "RF" not in type(estimator).__name__ else {}
    estimator.fit(X, Y, **ranks, **watched)
    folder, saved = shelf.save({"model": estimator})
    loaded = shelf.load(folder, saved)["model"]
    assert type(loaded) is type(estimator)
    assert (loaded.predict(X) == estimator.predict(X)).all()
    assert repr(loaded.get_params()) == repr(estimator.get_params())
    assert list(getattr(loaded, "classes_", [])) == list(getattr(estimator, "classes_", []))
    assert getattr(loaded, "evals_result_", None) == getattr(estimator, "evals_result_", None)
    assert loaded.n_features_in_ == 3
    assert list(loaded.feature_importances_) == list(estimator.feature_importances_)
    assert (saved.pickled, saved.deterministic) == (False, True)
    assert shelf.content({"model": estimator}) == shelf.files(folder)


def test_classes_of_text_come_back_with_lightgbm(shelf: Any) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, np.where(Y, "late", "on time"))
    loaded = shelf.round_trip(model)
    assert list(loaded.predict(X)) == list(model.predict(X))
    assert loaded.classes_.tolist() == ["late", "on time"]


def test_a_lightgbm_booster_keeps_all_trees_and_its_best_iteration(shelf: Any) -> None:
    model = lightgbm.train({"verbose": -1, "objective": "binary"}, lightgbm.Dataset(X, Y), 6)
    model.best_iteration = 2
    folder, saved = shelf.save(model)
    loaded = shelf.load(folder, saved)
    assert loaded.num_trees() == 6
    assert loaded.best_iteration == 2
    assert (loaded.predict(X, num_iteration=6) == model.predict(X, num_iteration=6)).all()
    assert loaded.params == model.params
    assert saved.metadata == {"trees": 6, "features": 3}
    assert shelf.content(model) == shelf.files(folder)


def test_a_booster_is_read_from_a_trusted_store_only(shelf: Any) -> None:
    fitted = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(X, Y)
    for model in (booster(), fitted.booster_, fitted):
        folder, saved = shelf.save(model)
        with pytest.raises(MaterializerError, match="whose reader a crafted file can break.*trusted: true"):
            shelf.load(folder, saved, trusted=False)


class OwnXGB(xgboost.XGBClassifier):
    pass


def test_a_subclass_of_a_wrapper_is_pickled_and_keeps_its_type(shelf: Any) -> None:
    model = OwnXGB(n_estimators=2).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder, saved = shelf.save(model)
        loaded = shelf.load(folder, saved)
    assert type(loaded) is OwnXGB
    assert saved.pickled
    assert (loaded.predict(X) == model.predict(X)).all()


def test_a_payload_that_names_another_class_is_refused(shelf: Any) -> None:
    folder, saved = shelf.save(xgboost.XGBClassifier())
    text = (folder / "estimator.json").read_text()
    (folder / "estimator.json").write_text(text.replace("xgboost.sklearn.XGBClassifier", "subprocess.Popen"))
    with pytest.raises(MaterializerError, match="no estimator of XGBoost or LightGBM"):
        shelf.load(folder, saved)
