"""Declares the data validator flavor `pandera`."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_data_validators() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec(
            "pandera",
            "dovetail_pandera.validator:PanderaValidator",
            requires=["pandera>=0.24"],
            help="Holds data against Pandera schemas: inferred from the reference, or the project's own.",
        )
    ]
