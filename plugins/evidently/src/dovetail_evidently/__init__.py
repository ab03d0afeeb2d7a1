"""Evidently as a data validator."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_data_validators() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec(
            "evidently", "dovetail_evidently.validator:EvidentlyValidator", requires=["evidently>=0.7.20,<0.8", "pandas>=2.2,<3"],
            help="Evidently: drift, quality, schema, classification and regression, and every metric of evidently.metrics by its name.",
        )
    ]  # fmt: skip
