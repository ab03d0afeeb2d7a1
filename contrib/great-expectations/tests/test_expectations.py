"""Expectations by name, from the project and as objects, and what a reference leads one to expect."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import great_expectations.expectations as gxe
import pandas as pd
import pytest
from dovetail.components import Check, Verdict
from dovetail.errors import DefinitionError
from dovetail_great_expectations.validator import GreatExpectationsValidator

EXPECTED = """
import great_expectations as gx
import great_expectations.expectations as gxe

light = gxe.ExpectColumnValuesToBeBetween(column="weight", max_value=0.8)
suite = gx.ExpectationSuite("loaves", expectations=[light, gxe.ExpectTableRowCountToEqual(value=4)])

class ExpectLight(gxe.ExpectColumnValuesToBeBetween):
    max_value: float = 0.8

several = 3
"""


@pytest.fixture
def validator() -> GreatExpectationsValidator:
    return GreatExpectationsValidator()


@pytest.fixture
def loaves() -> pd.DataFrame:
    return pd.DataFrame({"weight": [0.5, 0.75, 1.0, 0.5], "flour": ["rye", "wheat", "rye", "rye"], "price": [1.0, 2.0, None, 1.5]})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "bakery_expected.py").write_text(EXPECTED, encoding="utf-8")
    monkeypatch.setenv("DOVETAIL_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("bakery_expected", None)


def test_an_expectation_is_asked_by_name(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    check = Check("ExpectColumnValuesToBeBetween", columns=["weight"], options={"min_value": 0, "max_value": 0.8})
    found = validator.validate(None, loaves, [check])
    assert (found.verdict, found.metrics) == (Verdict.FAIL, {"ExpectColumnValuesToBeBetween.unexpected_share.weight": 0.25})
    assert "1 row, such as 1.0" in found.broken[0].detail
    mostly = Check("ExpectColumnValuesToBeBetween", columns=["weight"], options={**check.options, "mostly": 0.7})
    required = Check("ExpectColumnValuesToBeBetween", columns=["weight"], options=check.options, require=["unexpected_share <= 0.25"], label="lenient")
    assert validator.validate(None, loaves, [mostly, required]).verdict is Verdict.PASS


def test_an_expectation_of_a_column_is_asked_of_each(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, ["ExpectColumnValuesToNotBeNull"])
    assert {each.column: each.verdict.value for each in found.findings} == {"weight": "pass", "flour": "pass", "price": "fail"}


def test_what_is_observed_is_the_metric_of_an_aggregate(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    check = Check("ExpectColumnMeanToBeBetween", columns=["price"], options={"max_value": 1, "severity": "warning"})
    found = validator.validate(None, loaves, [check, Check("ExpectTableRowCountToEqual", options={"value": 4})])
    assert found.verdict is Verdict.WARN, "its author holds it for less than critical"
    assert found.metrics == {"ExpectColumnMeanToBeBetween.observed.price": 1.5, "ExpectTableRowCountToEqual.observed": 4.0}


def test_expectations_of_several_columns_take_those_that_are_named(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    pair = Check("ExpectColumnPairValuesAToBeGreaterThanB", columns=["price", "weight"], options={"ignore_row_if": "either_value_is_missing"})
    unique = Check("ExpectCompoundColumnsToBeUnique", columns=["weight", "flour"])
    table = Check("ExpectTableColumnsToMatchSet", columns=["weight", "flour"], options={"exact_match": False})
    found = validator.validate(None, loaves, [pair, unique, table])
    assert found.metrics["ExpectCompoundColumnsToBeUnique.unexpected_share"] == 0.5
    assert {each.check: each.verdict.value for each in found.findings} == {pair.name: "pass", unique.name: "fail", table.name: "pass"}


def test_expectations_of_the_project_are_checks(validator: GreatExpectationsValidator, loaves: pd.DataFrame, project: Path) -> None:
    checks = ["bakery_expected:suite", "bakery_expected:light", Check("bakery_expected:ExpectLight", columns=["weight"], label="own")]
    found = validator.validate(None, loaves, checks)
    told = [(each.check, each.metric, each.value) for each in found.findings]
    share = ("unexpected_share", 0.25)
    assert told == [("bakery_expected:suite", *share), ("bakery_expected:suite", "observed", 4.0), ("bakery_expected:light", *share), ("own", *share)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os:system", "leads to nothing in this project"),
        ("bakery_expected:missing", "cannot be imported"),
        ("bakery_expected:several", "is no expectation"),
    ],
)
def test_what_is_no_expectation_of_the_project_is_refused(
    validator: GreatExpectationsValidator, loaves: pd.DataFrame, project: Path, name: str, said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        validator.validate(None, loaves, [name])


def test_expectations_are_taken_as_objects(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    given = [gxe.ExpectColumnMaxToBeBetween(column=name, max_value=1.5) for name in ("weight", "price")]
    found = validator.validate(None, loaves, given)
    assert found.metrics == {"ExpectColumnMaxToBeBetween(weight).observed.weight": 1.0, "ExpectColumnMaxToBeBetween(price).observed.price": 2.0}
    with pytest.raises(DefinitionError, match="as a check"):
        validator.validate(None, loaves, [object()])


def test_arguments_that_an_expectation_does_not_take_are_refused(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    with pytest.raises(DefinitionError, match=r"lowest: extra fields not permitted.*options="):
        validator.validate(None, loaves, [Check("ExpectColumnValuesToBeBetween", columns=["weight"], options={"lowest": 0})])


def test_an_expectation_that_cannot_be_asked_fails_and_says_why(validator: GreatExpectationsValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, [Check("ExpectColumnMeanToBeBetween", columns=["flour"], options={"min_value": 0})])
    (finding,) = found.findings
    assert (finding.verdict, finding.value) == (Verdict.FAIL, None)
    assert "expect_column_mean_to_be_between: " in finding.detail


def test_every_expectation_that_is_listed_can_be_asked_of_a_frame(validator: GreatExpectationsValidator) -> None:
    listed = validator.own_checks()
    assert len(listed) > 40
    assert {"ExpectColumnValuesToMatchRegex", "ExpectTableRowCountToBeBetween"} <= set(listed)
    assert "ExpectQueryResultsToMatchComparison" not in listed
    assert all(text for text in listed.values())


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


def test_a_frame_of_every_kind_of_column_is_as_it_is(validator: GreatExpectationsValidator) -> None:
    found = validator.validate(kinds(), kinds().head(2), ["schema"])
    assert found.broken == []


def test_other_kinds_values_and_ranges_are_found(validator: GreatExpectationsValidator) -> None:
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


def test_rows_that_cannot_be_compared_are_not_counted(validator: GreatExpectationsValidator) -> None:
    found = validator.validate(None, pd.DataFrame({"parts": [[1], [1], None], "size": [1, 1, 2]}), ["quality"])
    repeated = next(each for each in found.findings if each.metric == "duplicated_share")
    assert repeated.value is None
    assert "unhashable" in repeated.detail


def test_rows_are_counted_whatever_their_index(validator: GreatExpectationsValidator) -> None:
    frame = pd.DataFrame({"a": [1.0, 1.0, None, None]}, index=[5, 5, 5, 5])
    found = validator.validate(None, frame, ["quality"])
    assert found.metrics == {"quality.missing_share": 0.5, "quality.missing_share.a": 0.5, "quality.duplicated_share": 0.5}


def test_nothing_is_written_to_the_terminal(validator: GreatExpectationsValidator, loaves: pd.DataFrame, capfd: pytest.CaptureFixture[str]) -> None:
    validator.validate(None, loaves, ["quality"])
    assert capfd.readouterr() == ("", "")
