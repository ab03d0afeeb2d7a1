"""Declares the data validator flavor `great-expectations`."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_data_validators() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec(
            "great-expectations",
            "dovetail_great_expectations.validator:GreatExpectationsValidator",
            requires=["great-expectations>=1.20"],
            help="Checks data by the expectations of Great Expectations, and by what a reference leads one to expect.",
        )
    ]
