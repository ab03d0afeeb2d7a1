"""A data validator of one module, as a plugin would bring it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.components import Check, DataValidator, Examined, Finding, Verdict
from dovetail.plugin import FlavorSpec, hookimpl


@hookimpl
def dovetail_data_validators():
    return [FlavorSpec("plain", "plain:PlainValidator", help="Counts missing cells.")]


class Rule:
    """An object of the library's own."""

    def __init__(self, column: str) -> None:
        self.column = column


class PlainValidator(DataValidator):
    """Measures with pandas alone."""

    portable = ("quality", "regression")
    most: float = 0.5

    def own_checks(self) -> Mapping[str, str]:
        return {"odd": "numbers of all kinds", "rule": "an object"}

    def version(self) -> str:
        return "1.2"

    def as_check(self, given: Any) -> Check:
        return Check("rule", options={"rule": given}) if isinstance(given, Rule) else super().as_check(given)

    def examine(self, reference: Any, current: Any, checks: Sequence[Check]) -> Examined:
        import numpy as np

        findings = []
        for check in checks:
            if check.name == "quality":
                share = current.isna().to_numpy().mean()
                findings.append(Finding(check.label, "missing_share", share, Verdict.WARN if share > self.most else Verdict.PASS))
                findings += [Finding(check.label, "missing_share", current[name].isna().mean(), column=name) for name in current.columns]
            elif check.name == "odd":
                findings += [Finding(check.label, "none", float("nan")), Finding(check.label, "much", float("inf")), Finding(check.label, "three", np.int64(3))]
            elif check.name == "rule":
                findings.append(Finding(check.label, "rows", len(current), column=check.options["rule"].column))
        return Examined(findings, report={"scalar": np.float32(1.5), "array": np.arange(3), "nan": [float("nan")], 1: {2, 1}, "object": Rule("a"), "none": None})
