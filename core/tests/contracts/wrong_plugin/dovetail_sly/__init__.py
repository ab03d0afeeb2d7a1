"""A plugin whose module is clean, and which does in its hooks what a plugin should not."""

from __future__ import annotations

import os

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_experiment_trackers():
    import polars  # noqa: F401  # a heavy library, and one that the flavor requires

    os.environ["SLY"] = "yes"
    print("Thank you for choosing Sly.")
    return [FlavorSpec("sly", "dovetail.local.experiment_tracker:LocalTracker", requires=["polars>=1"], help="As the built-in one.")]


@hookimpl
def dovetail_run_finished(event):
    print(event["duration"])
