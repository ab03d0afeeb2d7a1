"""Profiles: their drift, constraints on them, and that nobody is told of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dovetail.components import Check, Verdict
from dovetail.errors import DefinitionError
from dovetail_whylogs.validator import WhylogsValidator

LIMITS = """
from whylogs.core.constraints.factories import greater_than_number, smaller_than_number

heavy = greater_than_number("weight", 0.6)
both = [heavy, smaller_than_number("weight", 2)]
several = 3
"""


@pytest.fixture
def validator() -> WhylogsValidator:
    return WhylogsValidator()


@pytest.fixture
def loaves() -> pd.DataFrame:
    return pd.DataFrame({"weight": [0.5, 0.75, 1.0, 0.5], "flour": ["rye", "wheat", "rye", "rye"], "price": [1.0, 2.0, None, 1.5]})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "bakery_limits.py").write_text(LIMITS, encoding="utf-8")
    monkeypatch.setenv("DOVETAIL_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("bakery_limits", None)


def test_a_constraint_is_asked_by_name_of_each_column(validator: WhylogsValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, ["no_missing_values"])
    assert {each.column: (each.value, each.verdict.value) for each in found.findings} == {
        "weight": (1.0, "pass"),
        "flour": (1.0, "pass"),
        "price": (0.0, "fail"),
    }
    mean = Check("mean_between_range", columns=["price"], options={"lower": 1, "upper": 1.4})
    assert validator.validate(None, loaves, [mean]).verdict is Verdict.FAIL


def test_the_profile_measures_and_judges_nothing(validator: WhylogsValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, [Check("profile", columns=["price", "flour"])])
    assert found.verdict is Verdict.PASS
    assert found.metrics["profile.missing_share.price"] == 0.25
    assert (found.metrics["profile.mean.price"], found.metrics["profile.max.price"]) == (1.5, 2.0)
    assert found.metrics["profile.distinct.flour"] == pytest.approx(2, abs=0.1)
    assert "profile.mean.flour" not in found.metrics
    strict = Check("profile", columns=["price"], require=["missing_share < 0.1"])
    assert validator.validate(None, loaves, [strict]).verdict is Verdict.FAIL


def test_the_report_holds_the_profile(validator: WhylogsValidator, loaves: pd.DataFrame) -> None:
    report = validator.validate(None, loaves, ["profile"]).report
    assert (report["profile"]["weight"]["counts/n"], report["profile"]["price"]["counts/null"]) == (4, 1)


def test_constraints_of_the_project_are_checks(validator: WhylogsValidator, loaves: pd.DataFrame, project: Path) -> None:
    found = validator.validate(None, loaves, ["bakery_limits:both", Check("bakery_limits:heavy", label="heavy")])
    assert [(each.check, each.verdict.value) for each in found.findings] == [
        ("bakery_limits:both", "fail"),
        ("bakery_limits:both", "pass"),
        ("heavy", "fail"),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os:system", "leads to nothing in this project"),
        ("bakery_limits:missing", "cannot be imported"),
        ("bakery_limits:several", "is no constraint"),
        ("constraints", "was given none"),
    ],
)
def test_what_is_no_constraint_of_the_project_is_refused(
    validator: WhylogsValidator, loaves: pd.DataFrame, project: Path, name: str, said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        validator.validate(None, loaves, [name])


def test_constraints_are_taken_as_objects(validator: WhylogsValidator, loaves: pd.DataFrame) -> None:
    from whylogs.core.constraints.factories import is_non_negative

    found = validator.validate(None, loaves, [is_non_negative("weight")])
    assert (found.verdict, [each.column for each in found.findings]) == (Verdict.PASS, ["weight"])


def test_arguments_that_a_constraint_does_not_take_are_refused(validator: WhylogsValidator, loaves: pd.DataFrame) -> None:
    with pytest.raises(DefinitionError, match=r"takes no 'low'\. Did you mean 'lower'"):
        validator.validate(None, loaves, [Check("is_in_range", columns=["weight"], options={"low": 0})])
    with pytest.raises(DefinitionError, match="options="):
        validator.validate(None, loaves, [Check("is_in_range", columns=["weight"], options={"lower": 0})])


def test_a_constraint_that_cannot_be_held_fails_and_says_why(validator: WhylogsValidator, project: Path) -> None:
    found = validator.validate(None, pd.DataFrame({"price": [1.0]}), ["bakery_limits:heavy"])
    (finding,) = found.findings
    assert (finding.verdict, finding.value) == (Verdict.FAIL, None)
    assert "'weight' was not found" in finding.detail


def test_what_whylogs_does_not_compare_is_said_and_counts_for_nothing(validator: WhylogsValidator) -> None:
    dice = np.random.default_rng(1)
    before = pd.DataFrame({"day": pd.date_range("2013-01-01", periods=300), "delay": dice.normal(size=300)})
    found = validator.validate(before, before.assign(delay=before.delay + 5), ["drift"])
    assert next(each.value for each in found.findings if each.column == "day") is None
    assert (found.metrics["drift.drifted_share"], found.verdict) == (1.0, Verdict.FAIL)


def test_the_score_of_drift_grows_with_it(validator: WhylogsValidator) -> None:
    dice = np.random.default_rng(1)
    before = pd.DataFrame({"delay": dice.normal(size=300)})
    scores = [validator.validate(before, before + by, ["drift"]).metrics["drift.drift.delay"] for by in (0, 0.1, 1)]
    assert scores == sorted(scores)
    assert (scores[0], scores[-1]) == (0, pytest.approx(1))


def kinds() -> pd.DataFrame:
    """A column of each kind that people keep in frames."""
    return pd.DataFrame(
        {
            "whole": [1, 2, 3, 2],
            "small": pd.array([1, 2, 3, 2], dtype="int8"),
            "maybe_whole": pd.array([1, None, 3, 2], dtype="Int64"),
            "number": [0.5, None, 1.5, 1.0],
            "yes": [True, False, True, True],
            "maybe_yes": pd.array([True, None, False, True], dtype="boolean"),
            "text": ["a", None, "b", "a"],
            "string": pd.array(["a", None, "b", "a"], dtype="string"),
            "kind": pd.Categorical(["a", "b", "a", None]),
            "day": pd.to_datetime(["2013-01-01", None, "2013-01-03", "2013-01-02"]),
            "zoned": pd.to_datetime(["2013-01-01"] * 4, utc=True),
            "lasting": pd.to_timedelta([1, 2, 3, 2], unit="s"),
            "mixed": [1, "a", None, 2.5],
            "nothing": [None] * 4,
            7: [1, 2, 3, 2],
        }
    )


def test_a_frame_of_every_kind_of_column_is_as_it_is(validator: WhylogsValidator) -> None:
    assert validator.validate(kinds(), kinds(), ["drift"]).broken == []
    found = validator.validate(kinds(), kinds().head(2), ["schema"])
    assert found.broken == []


def test_other_kinds_values_and_ranges_are_found(validator: WhylogsValidator) -> None:
    later = kinds()
    later["whole"] = later["whole"].astype("float64")
    later["small"] = pd.array([1, 2, 9, 2], dtype="int8")
    later["maybe_whole"] = pd.array([1, None, 3, -2], dtype="Int64")
    later["text"] = ["a", "z", "b", None]
    later["kind"] = pd.Categorical(["a", "b", "z", None])
    later["day"] = later["day"] + pd.Timedelta(days=365)  # which is no broken rule
    later["yes"] = ["yes", "no", "yes", "yes"]
    found = validator.validate(kinds(), later, ["schema"])
    assert {each.column for each in found.broken} == {None, "whole", "small", "maybe_whole", "text", "kind", "yes"}


def test_a_text_of_many_values_may_say_anything(validator: WhylogsValidator) -> None:
    names = pd.DataFrame({"name": [f"loaf {number}" for number in range(60)]})
    others = pd.DataFrame({"name": ["another loaf"]})
    assert validator.validate(names, others, ["schema"]).verdict is Verdict.PASS
    assert validator.validate(names, others, [Check("schema", options={"most_values": 100})]).verdict is Verdict.FAIL


def test_whylogs_tells_its_makers_nothing(validator: WhylogsValidator, loaves: pd.DataFrame) -> None:
    validator.validate(loaves, loaves, ["drift", "schema", "no_missing_values"])
    from whylogs.api import usage_stats  # only now: it reads the variable when it is imported

    assert (usage_stats._TELEMETRY_DISABLED, usage_stats._TRACKED_EVENTS) == (True, {})
