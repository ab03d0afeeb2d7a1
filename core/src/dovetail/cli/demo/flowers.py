"""Which iris is it? From a file of measurements to a model, and to the decision whether it is the one to use.

dovetail run flowers.py
dovetail plan flowers.py --param smoothing=5
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from dovetail import Client, Model, ModelStage, get_step_context, log_metrics, log_params, pipeline, step

MEASUREMENTS = Path(__file__).with_name("iris.csv")  # Fisher's, of 1936: lengths and widths in cm
MODEL = "iris"

Flower = dict[str, str]
Portrait = dict[str, tuple[float, float]]  # mean and spread of each measurement of one species


@step
def read() -> Annotated[list[Flower], "flowers"]:
    """The file counts for the cache: change it, and this step runs again."""
    with MEASUREMENTS.open(newline="") as file:
        return list(csv.DictReader(file))


@step
def split(flowers: list[Flower], share: float) -> tuple[Annotated[list[Flower], "training"], Annotated[list[Flower], "held_out"]]:
    """The file lists one species after the other, so of every ten flowers some are held out."""
    kept = round(10 * share)
    training = [flower for number, flower in enumerate(flowers) if number % 10 < kept]
    return training, [flower for number, flower in enumerate(flowers) if number % 10 >= kept]


@step
def train(training: list[Flower], smoothing: float) -> Annotated[dict[str, Portrait], "portraits"]:
    """What each species looks like. `smoothing` widens every spread, in cm."""
    log_params({"smoothing": smoothing, "flowers": len(training)})
    by_species: dict[str, list[Flower]] = {}
    for flower in training:
        by_species.setdefault(flower["species"], []).append(flower)
    return {species: portrait_of(members, smoothing) for species, members in by_species.items()}


@step
def evaluate(portraits: dict[str, Portrait], held_out: list[Flower]) -> Annotated[dict[str, float], "scores"]:
    right = [species_of(flower, portraits) == flower["species"] for flower in held_out]
    scores = {"accuracy": sum(right) / len(right)}
    log_metrics(scores)
    return scores


@step
def promote(scores: dict[str, float]) -> Annotated[bool, "promoted"]:
    """Makes this run's version of the model the one in production, unless the one that is there does better."""
    candidate = get_step_context().model
    assert candidate is not None  # the pipeline names one
    try:
        champion = Client().get_model_version(MODEL, ModelStage.PRODUCTION)
    except LookupError:
        champion = None
    better = champion is None or scores["accuracy"] > champion.metrics["accuracy"]
    if better:
        candidate.promote(ModelStage.PRODUCTION)
    return better


@step
def report(portraits: dict[str, Portrait], scores: dict[str, float], promoted: bool) -> Annotated[str, "report"]:
    lines = [
        f"{scores['accuracy']:.1%} of flowers never seen before were told apart; {'now' if promoted else 'not'} in production."
    ]
    for species, portrait in portraits.items():
        lines.append(f"{species:<12} petals {portrait['petal_length'][0]:.1f} cm long, {portrait['petal_width'][0]:.1f} cm wide")
    print("\n".join(lines))
    return "\n".join(lines)


@pipeline(model=Model(MODEL, description="Tells three kinds of iris apart"))
def flowers(share: float = 0.6, smoothing: float = 0.1) -> None:
    training, held_out = split(read(), share)
    portraits = train(training, smoothing)
    scores = evaluate(portraits, held_out)
    report(portraits, scores, promote(scores))


def portrait_of(members: list[Flower], smoothing: float) -> Portrait:
    measured = {name: [float(flower[name]) for flower in members] for name in members[0] if name != "species"}
    return {name: (statistics.fmean(lengths), statistics.stdev(lengths) + smoothing) for name, lengths in measured.items()}


def species_of(flower: Flower, portraits: Mapping[str, Portrait]) -> str:
    """The species that the flower resembles most."""

    def resemblance(species: str) -> float:
        portrait = portraits[species]
        return sum(
            -(((float(flower[name]) - mean) / spread) ** 2) / 2 - math.log(spread) for name, (mean, spread) in portrait.items()
        )

    return max(portraits, key=resemblance)


if __name__ == "__main__":
    flowers()
