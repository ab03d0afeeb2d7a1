"""A project's own metric of Evidently's."""

from __future__ import annotations

from typing import Any

from evidently.core.metric_types import SingleValueCalculation, SingleValueMetric


class SpanValue(SingleValueMetric):
    """The largest of a column less its smallest."""

    column: str
    times: float = 1.0


class SpanValueCalculation(SingleValueCalculation[SpanValue]):
    def calculate(self, context: Any, current_data: Any, reference_data: Any) -> Any:
        values = current_data.column(self.metric.column).data
        return self.result(float(values.max() - values.min()) * self.metric.times), None

    def display_name(self) -> str:
        return f"Span of '{self.metric.column}'"
