"""The model, and how good one is."""

from __future__ import annotations

import pandas as pd
from features import CATEGORIES, FEATURES, NUMBERS, TARGET
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def fitted(table: pd.DataFrame, learning_rate: float, trees: int) -> ClassifierMixin:
    """Gradient boosting over the features; the same table gives the same model."""
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("categories", encode, CATEGORIES), ("numbers", "passthrough", NUMBERS)])
    boosting = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=trees,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    return Pipeline([("columns", columns), ("boosting", boosting)]).fit(table[FEATURES], table[TARGET])


def scores_of(model: ClassifierMixin, table: pd.DataFrame) -> dict[str, float]:
    """Area under the ROC curve, share of right answers, and mean squared error of the probability (Brier)."""
    probability = model.predict_proba(table[FEATURES])[:, 1]
    late = table[TARGET]
    return {
        "auc": float(roc_auc_score(late, probability)),
        "accuracy": float(accuracy_score(late, probability > 0.5)),
        "brier": float(brier_score_loss(late, probability)),
    }


def auc_of(late: pd.Series, chance: pd.Series) -> float:
    return float(roc_auc_score(late, chance))
