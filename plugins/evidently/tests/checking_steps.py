"""Pipelines that check data, as a user would write them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from dovetail import Client, pipeline, step, when
from dovetail.validation import Check, Validation, gate, validate_data, verdict_of


def bread(rows: int = 300, heavier: float = 0.0) -> pd.DataFrame:
    dice = np.random.default_rng(5)
    flours = np.array(["rye", "wheat", "spelt"])[dice.integers(0, 3, rows)]
    return pd.DataFrame({"weight": dice.normal(50, 5, rows) + heavier, "minutes": dice.uniform(10, 60, rows), "flour": flours})


@step
def load(heavier: float) -> tuple[Annotated[pd.DataFrame, "reference"], Annotated[pd.DataFrame, "current"]]:
    return bread(), bread(heavier=heavier)


@step
def train(current: pd.DataFrame) -> int:
    return len(current)


@step(data_validator=True)
def span(current: pd.DataFrame) -> Annotated[Validation, "span"]:
    from own_metrics import SpanValue

    validator = Client().active_stack.data_validator
    return validator.validate(None, current, [SpanValue(column="weight"), SpanValue(column="minutes")])


@pipeline
def gated(heavier: float = 0.0, most: float = 0.3, stop_on: str = "fail"):
    reference, current = load(heavier)
    checks = ["quality", Check("drift", require=[f"drifted_share < {most}"]), Check("own_metrics:SpanValue", columns=["weight"])]
    validation, _, _ = validate_data(reference, current, checks)
    train(current, after=gate(validation, stop_on=stop_on))


@pipeline
def retraining(heavier: float = 0.0):
    reference, current = load(heavier)
    validation, _, _ = validate_data(reference, current, ["drift"])
    with when(verdict_of(validation, check="drift") != "pass"):
        train(current)


@pipeline
def own():
    _, current = load(0.0)
    span(current)


@pipeline
def elsewhere(heavier: float = 0.0):
    reference, current = load(heavier)
    validate_data.with_options(step_operator=True)(reference, current, ["quality", "drift"])


@pipeline
def with_settings(threshold: float = 0.05):
    reference, current = load(1.5)
    validate_data.with_options(settings={"evidently": {"drift_threshold": threshold}})(reference, current, [Check("drift", columns=["weight", "minutes"])])
