"""A plugin that does what a plugin should not."""

from __future__ import annotations

import polars  # noqa: F401  # a heavy library, and one that a flavor requires

from dovetail.plugin import FlavorSpec, MaterializerSpec, hookimpl


@hookimpl
def dovetail_experiment_trackers():
    return [
        FlavorSpec("eager", "dovetail_wrong.trackers:EagerTracker", requires=["polars>=1", "no-such-sdk"]),
        FlavorSpec("half", "dovetail_wrong.half:HalfTracker", help="It does half of what it should."),
    ]


@hookimpl
def dovetail_materializers():
    return [MaterializerSpec(["x.Y"], "dovetail_wrong.nowhere:Lost")]
