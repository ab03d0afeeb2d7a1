"""Weights & Biases as an experiment tracker."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("wandb", "dovetail_wandb.tracker:WandbTracker", requires=["wandb>=0.29,<1"], help="Weights & Biases: one W&B run per step run."),
    ]
