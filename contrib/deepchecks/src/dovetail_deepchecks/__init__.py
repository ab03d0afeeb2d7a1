"""Declares the data validator flavor `deepchecks`."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_data_validators() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec(
            "deepchecks",
            "dovetail_deepchecks.validator:DeepchecksValidator",
            requires=["deepchecks>=0.19,<0.20"],
            help="Checks data and predictions by Deepchecks: drift, quality, scores, its suites.",
        )
    ]
