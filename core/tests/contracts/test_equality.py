"""What the materializers' contract takes for the same value, and what not."""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from dovetail.testing.equality import same

FRAME = pd.DataFrame({"a": [1, 2]})


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ("1", 1),
        ([1], (1,)),
        ([1], [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "x"}, {"1": "x"}),
        (collections.OrderedDict(a=1), {"a": 1}),
        ({"a": [1]}, {"a": [1.0]}),
        (np.arange(3, dtype="i4"), np.arange(3, dtype="i8")),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (np.array([1, "a"], dtype=object), np.array(["1", "a"], dtype=object)),
        (FRAME, FRAME.astype("f8")),
        (FRAME, FRAME.set_axis([1, 2])),
        (FRAME["a"], FRAME["a"].rename("b")),
        (pd.Index([1, 2], name="x"), pd.Index([1, 2])),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1.0]})),
        (sp.eye(3, format="csr"), sp.eye(3, format="csc")),
        (sp.eye(3, format="csr"), 2 * sp.eye(3, format="csr")),
        (Plain(1), Plain(2)),
        (Plain(math.nan), Plain(0.0)),
    ],
)
def test_values_that_differ_in_anything_are_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same({"nested": [one]}, {"nested": [other]})


@pytest.mark.parametrize(
    "make",
    [
        lambda: math.nan,
        lambda: {"a": (1, [math.nan])},
        lambda: np.array([math.nan, 1.0]),
        lambda: np.array([1, "a", None], dtype=object),
        lambda: pd.DataFrame({"a": [1.0, math.nan]}),
        lambda: pl.DataFrame({"a": [1, None]}),
        lambda: sp.csr_array(np.eye(2)),
        lambda: Plain({"a": math.nan}),
        lambda: {1, 2},
    ],
)
def test_values_that_were_made_alike_are_the_same(make: Any) -> None:
    assert same(make(), make())
