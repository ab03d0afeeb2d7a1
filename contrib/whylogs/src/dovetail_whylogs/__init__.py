"""Declares the data validator flavor `whylogs`."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_data_validators() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec(
            "whylogs",
            "dovetail_whylogs.validator:WhylogsValidator",
            requires=["whylogs>=1.6"],
            help="Compares whylogs profiles of data: drift, the schema of a reference, constraints.",
        )
    ]
