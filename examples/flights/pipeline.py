"""Will a flight from New York arrive more than a quarter of an hour late? One month in, a served model out.

python pipeline.py --month 3
dovetail run pipeline.py:flights --param month=3
"""

from __future__ import annotations

import argparse
from typing import Annotated, Any

import data
import features
import models
import pandas as pd
from sklearn.base import ClassifierMixin

from dovetail import Client, Model, ModelStage, PromotionRefused, get_step_context, log_metadata, log_metrics, log_params, pipeline, step

MODEL = "flight_delay"
CALM = 0.1


@step
def ingest(month: int) -> Annotated[pd.DataFrame, "month_of_flights"]:
    return data.read_flights(month)


@step
def prepare_weather() -> Annotated[pd.DataFrame, "weather"]:
    return data.read_weather()


@step
def prepare_planes() -> Annotated[pd.DataFrame, "planes"]:
    """Age in 2013 in place of the year built."""
    planes = data.read_planes()
    return planes.assign(plane_age=2013 - planes["year"]).drop(columns="year")


@step
def validate(month_of_flights: pd.DataFrame, month: int) -> Annotated[dict[str, float], "month_in_figures"]:
    """Fails the run with everything that is wrong, or reports what the month is like."""
    problems = features.problems_of(month_of_flights, month)
    if problems:
        raise ValueError(f"Month {month} cannot be used: {'; '.join(problems)}.")
    report = {
        "flights": float(len(month_of_flights)),
        "cancelled": float(month_of_flights["dep_time"].isna().mean()),
        "late": float((month_of_flights["arr_delay"] > features.LATE_AFTER_MINUTES).mean()),
    }
    log_metadata(report)
    return report


@step
def build_features(
    month_of_flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame
) -> Annotated[pd.DataFrame, "flight_features"]:
    return features.features_of(month_of_flights, weather, planes)


@step
def split(
    flight_features: pd.DataFrame,
) -> tuple[Annotated[pd.DataFrame, "training_data"], Annotated[pd.DataFrame, "evaluation_data"]]:
    return features.by_day(flight_features)


@step
def train(training_data: pd.DataFrame, learning_rate: float, trees: int) -> Annotated[ClassifierMixin, "delay_model"]:
    log_params({"learning_rate": learning_rate, "trees": trees, "rows": len(training_data)})
    return models.fitted(training_data, learning_rate, trees)


@step
def evaluate(delay_model: ClassifierMixin, evaluation_data: pd.DataFrame) -> Annotated[dict[str, float], "scores"]:
    scores = models.scores_of(delay_model, evaluation_data)
    log_metrics(scores)
    return scores


@step
def compare_months(now: pd.DataFrame, before: pd.DataFrame) -> Annotated[dict[str, float], "stability"]:
    """How far each feature has moved since the month before, as its population stability index."""
    indices = features.stability_indices(now, before)
    moved = sorted((name for name, index in indices.items() if index > CALM), key=lambda name: -indices[name])
    log_metadata({"moved": moved, "largest": max(indices.values())})
    return indices


@step
def promote(scores: dict[str, float], evaluation_data: pd.DataFrame) -> Annotated[bool, "promoted"]:
    """Makes this run's version the one in production, unless the one that is there does as well on the same flights."""

    def on_these_flights(version: Any) -> dict[str, float]:
        return models.scores_of(version.load_artifact("delay_model"), evaluation_data)

    try:
        get_step_context().model.promote(ModelStage.PRODUCTION, require="auc > production.auc", score=on_these_flights)
    except PromotionRefused as refused:
        log_metadata(refused=str(refused), gates=refused.evidence["gates"])
        return False
    return True


@step(model_deployer=True)
def deploy(promoted: bool) -> Annotated[str, "endpoint"]:
    """Serves the model that is in production: this run's, or the one that it did not beat."""
    champion = Client().get_model_version(MODEL, ModelStage.PRODUCTION)
    config = {"model": champion.get_artifact("delay_model"), "model_name": MODEL}
    deployment = Client().active_stack.model_deployer.deploy_model(config=config)
    log_metadata(version=champion.version, new=promoted)
    return deployment.url


@step
def ask(endpoint: str, evaluation_data: pd.DataFrame) -> Annotated[list[dict[str, Any]], "answers"]:
    """What the endpoint says of ten flights, the likeliest to be late first, beside what came to pass."""
    flights = evaluation_data.sample(10, random_state=0)
    deployment = Client().active_stack.model_deployer.get_deployment(MODEL)
    chances = deployment.predict(flights[features.FEATURES], method="predict_proba")[:, 1]
    answers = flights[["day", "carrier", "origin", "dest"]].assign(chance=chances, late=flights["late"] == 1)
    log_metadata(asked=endpoint)
    return answers.sort_values("chance", ascending=False).to_dict("records")


@pipeline(model=Model(MODEL, description="Arrives more than 15 minutes late, told from what is known before departure"))
def flights(month: int = 1, learning_rate: float = 0.05, trees: int = 80) -> None:
    weather, planes = prepare_weather(), prepare_planes()
    month_of_flights = ingest(month)
    validated = validate(month_of_flights, month)
    table = build_features.with_options(after=[validated])(month_of_flights, weather, planes)
    training_data, evaluation_data = split(table)
    model = train(training_data, learning_rate, trees)
    scores = evaluate(model, evaluation_data)
    if month > 1:
        before = ingest.with_options(id="ingest_previous")(month - 1)
        compare_months(table, build_features.with_options(id="build_features_previous")(before, weather, planes))
    endpoint = deploy(promote(scores, evaluation_data))
    ask(endpoint, evaluation_data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--month", type=int, default=1, help="1 to 12")
    month = parser.parse_args().month
    steps = flights(month=month).steps

    scores, version = steps["evaluate"].output.load(), steps["deploy"].metadata["version"]
    print(f"\nMonth {month}: AUC {scores['auc']:.3f}, accuracy {scores['accuracy']:.3f}, Brier score {scores['brier']:.3f}.")
    print(f"Version {version} of {MODEL} is in production, at {steps['deploy'].output.load()}.")
    print("Asked about ten flights, it says:\n")
    print("  day   flight          chance to be late")
    for answer in steps["ask"].output.load():
        flight = "{carrier} {origin} to {dest}".format(**answer)
        print(f"  {answer['day']:>3}   {flight:14} {answer['chance']:>17.0%}   {'and it was' if answer['late'] else ''}".rstrip())


if __name__ == "__main__":
    main()
