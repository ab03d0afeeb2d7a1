"""Gates are read as they are written, and what is no number keeps to nothing."""

from __future__ import annotations

import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import DefinitionError
from dovetail.values.requirement import Requirement

RELATIONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne}
NUMBERS = st.floats(-1e6, 1e6).map(lambda number: round(number, 4))
METRICS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_/@.-]{0,20}", fullmatch=True)


@given(METRICS, st.sampled_from(sorted(RELATIONS)), NUMBERS, NUMBERS, st.sampled_from(["", " ", "  "]))
def test_a_number_is_compared_as_python_does(metric: str, relation: str, bound: float, value: float, space: str) -> None:
    found = Requirement.parse(f"{metric}{space or ' '}{relation}{space}{bound!r}")
    assert (found.metric, found.other) == (metric, None)
    assert found.holds(value) is RELATIONS[relation](value, bound)


@given(METRICS, st.sampled_from(["production", "staging", "3"]), st.sampled_from(["+", "-", "*"]), st.floats(0, 10).map(lambda number: round(number, 3)), NUMBERS)
def test_another_versions_metric_is_changed_as_it_says(metric: str, other: str, sign: str, by: float, theirs: float) -> None:
    found = Requirement.parse(f"loss <= {other}.{metric} {sign} {by!r}")
    assert (found.other, found.of) == (other, metric)
    changed = {"+": theirs + by, "-": theirs - by, "*": theirs * by}[sign]
    assert found.bound(theirs) == changed
    assert found.holds(changed, theirs)
    assert not found.holds(math.nextafter(changed, math.inf), theirs)


def test_what_is_no_number_keeps_to_nothing() -> None:
    for text in ("auc > 0", "auc < 1", "auc != 0.5"):
        assert not Requirement.parse(text).holds(None)
        assert not Requirement.parse(text).holds(math.nan)


@pytest.mark.parametrize("text", ["", "auc", "auc ~ 1", "auc > b", "auc > prod.auc", "auc > production", "a b > 1", "auc > 1 2", "auc >> 1", None, 3])
def test_anything_else_is_refused_with_examples(text: object) -> None:
    with pytest.raises(DefinitionError, match="'auc >= 0.8', 'auc >= production.auc'"):
        Requirement.parse(text)  # type: ignore[arg-type]
