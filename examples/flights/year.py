"""A year in production: each month's flights are watched, and a model that no longer fits them is replaced.

python year.py
python year.py --months 6

Needs a stack with a data validator and a model deployer, such as stacks/monitored.yaml, and requirements-year.txt.
"""

from __future__ import annotations

import argparse
from typing import Annotated, Any

import features
import figures
import models
import pandas as pd
from matplotlib.figure import Figure
from pipeline import MODEL, build_features, flights, ingest, prepare_planes, prepare_weather
from sklearn.base import ClassifierMixin

from dovetail import Client, Model, log_metadata, log_metrics, pipeline, step
from dovetail.validation import Check, Validation, Verdict, validate_data

IN_SERVICE = Model(MODEL, version="production")
WORSE_BY = 0.03  # of AUC, below what the model had when it was promoted
ASKED = 2_000  # flights of a month, of which the endpoint is asked
MOST_DRIFT = 0.35  # of the features
CHECKS = [
    Check("drift", columns=features.FEATURES, require=[f"drifted_share < {MOST_DRIFT}"]),
    Check("quality", columns=features.FEATURES, expect=["missing_share < 0.05"]),
]


@step(enable_cache=False)  # the endpoint may be another by now
def ask_endpoint(flight_features: pd.DataFrame) -> Annotated[pd.DataFrame, "answers"]:
    """What the model in service says of some of the month's flights, beside what came to pass."""
    some = flight_features.sample(ASKED, random_state=0)
    chances = Client().active_stack.model_deployer.get_deployment(MODEL).predict(some[features.FEATURES], method="predict_proba")
    return pd.DataFrame({"chance": chances[:, 1], "late": some[features.TARGET].to_numpy()})


@step
def judge(answers: pd.DataFrame, validation: Validation, model: ClassifierMixin, flights_then: pd.DataFrame) -> Annotated[dict[str, Any], "judgement"]:
    """Whether the model in service still fits, and why not: its AUC on the month beside the one it had on flights held back at its training."""
    then, now = models.scores_of(model, flights_then)["auc"], models.auc_of(answers["late"], answers["chance"])
    drift = next(found.value for found in validation.findings if found.metric == "drifted_share")
    reasons = [str(found) for found in validation.broken if found.verdict is Verdict.FAIL]
    reasons += [f"AUC fell from {then:.3f} to {now:.3f}"] * (now < then - WORSE_BY)
    log_metrics(auc=now, auc_when_promoted=then, drifted_share=drift)
    log_metadata(reasons=reasons)
    return {"auc": now, "auc_when_promoted": then, "drifted_share": drift, "retrain": bool(reasons), "reasons": reasons}


@pipeline
def watch(month: int) -> None:
    table = build_features(ingest(month), prepare_weather(), prepare_planes())
    validation, _report, _data = validate_data(IN_SERVICE.load_artifact("flight_features"), table, CHECKS)
    judge(ask_endpoint(table), validation, IN_SERVICE.load_artifact("delay_model"), IN_SERVICE.load_artifact("evaluation_data"))


@step
def draw(months: list[dict[str, Any]]) -> Annotated[Figure, "year_of_flights"]:
    """Drift, score and what was decided, month by month."""
    return figures.figure_of_year(months, MOST_DRIFT)


@pipeline
def report(months: list[dict[str, Any]]) -> None:
    draw(months)


def live(month: int) -> dict[str, Any]:
    """One month: watched, and where the model no longer fits, trained anew, compared, and promoted and deployed if it is better."""
    if not in_service():
        return {"month": month, "decision": "first model", **trained(month)}
    seen = watch(month).steps["judge"].output.load()
    told = {"month": month, **seen}
    if not seen["retrain"]:
        return {**told, "decision": "kept", "version": IN_SERVICE.number}
    made = trained(month)
    return {**told, **made, "decision": "replaced" if made["promoted"] else "not replaced"}


def in_service() -> bool:
    return MODEL in Client().list_models() and any(version.stage == "production" for version in Client().get_model(MODEL).versions)


def trained(month: int) -> dict[str, Any]:
    run = flights(month=month)
    (gate,) = Client().get_model_version(MODEL, run.models.get(MODEL, IN_SERVICE.number)).decisions[0]["gates"]
    compared = {"candidate_auc": run.steps["evaluate"].metrics["auc"], "auc_to_beat": gate.get("bound")}
    return {"promoted": run.steps["promote"].output.load(), **compared, "version": IN_SERVICE.number}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=12, choices=range(1, 13), metavar="N", help="1 to 12, from January on")
    months = []
    for month in range(1, parser.parse_args().months + 1):
        months.append(live(month))
    figure = report(months).steps["draw"].output.load()
    figure.savefig("year.png", dpi=150)
    print("\n  month   drifted    AUC   decision       in production")
    for told in months:
        drift, auc = told.get("drifted_share"), told.get("auc", told.get("candidate_auc"))
        print(f"  {told['month']:>5}   {'-' if drift is None else f'{drift:.0%}':>7}  {auc:.3f}   {told['decision']:<13}  version {told['version']}")
    print("\nThe figure is in year.png; `dovetail models lineage flight_delay` tells how the last model came to be.")


if __name__ == "__main__":
    main()
