"""Models that deployers are tried with, and their materializers. They need no library."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from dovetail.materializers.interface import BaseMaterializer


class Scales:
    """Answers each row of numbers with their sum, `by` times, as an estimator would."""

    def __init__(self, by: float) -> None:
        self.by = by

    def predict(self, rows: Sequence[Sequence[float]]) -> list[float]:
        if any(isinstance(value, str) for row in rows for value in row):
            raise ValueError("a row of text has no sum")
        print(f"asked for {len(rows)} rows", flush=True)  # noqa: T201  # it is looked for in the logs
        return [sum(row) * self.by for row in rows]

    def predict_proba(self, rows: Sequence[Sequence[float]]) -> list[list[float]]:
        return [[0.25, 0.75] for _ in rows]


class ScalesMaterializer(BaseMaterializer):
    ASSOCIATED_TYPES = (Scales,)

    def save(self, value: Scales) -> None:
        with open(os.path.join(self.uri, "scales.json"), "w", encoding="utf-8") as file:
            json.dump({"by": value.by}, file)

    def load(self, data_type: Any) -> Scales:
        with open(os.path.join(self.uri, "scales.json"), encoding="utf-8") as file:
            return Scales(json.load(file)["by"])


class BrokenMaterializer(ScalesMaterializer):
    """Reads nothing back."""

    def load(self, data_type: Any) -> Scales:
        print("these weights are damaged", file=sys.stderr, flush=True)  # noqa: T201  # it is looked for in the logs
        raise RuntimeError("the weights do not fit")


class PickledMaterializer(ScalesMaterializer):
    """Says that loading runs code, so that only a trusted store's payload may be loaded."""

    pickled = True
