"""Schemas of the project's own, Pandera's checks by name, and what a reference implies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pytest
from dovetail.components import Check, Verdict
from dovetail.errors import DefinitionError
from dovetail_pandera.validator import PanderaValidator

SCHEMAS = """
import pandera.pandas as pa

class Loaves(pa.DataFrameModel):
    weight: float = pa.Field(gt=0)
    flour: str = pa.Field(isin=["rye", "wheat"])

    class Config:
        strict = True

loaves = Loaves.to_schema()
several = 3
"""


@pytest.fixture
def validator() -> PanderaValidator:
    return PanderaValidator()


@pytest.fixture
def loaves() -> pd.DataFrame:
    return pd.DataFrame({"weight": [0.5, 0.75, 1.0, 0.5], "flour": ["rye", "wheat", "rye", "rye"]})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "bakery_schemas.py").write_text(SCHEMAS, encoding="utf-8")
    monkeypatch.setenv("DOVETAIL_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("bakery_schemas", None)


@pytest.mark.parametrize("name", ["bakery_schemas:loaves", "bakery_schemas:Loaves"])
def test_a_schema_of_the_project_is_a_check(validator: PanderaValidator, loaves: pd.DataFrame, project: Path, name: str) -> None:
    assert validator.validate(None, loaves, [name]).verdict is Verdict.PASS
    found = validator.validate(None, loaves.assign(weight=-1.0, crust="thin", flour=["rye", "oat", "oat", "rye"]), [name])
    assert found.verdict is Verdict.FAIL
    assert {(each.column, each.value) for each in found.findings} == {(None, 3.0), ("weight", 1.0), ("crust", 1.0), ("flour", 1.0)}
    assert "such as oat" in next(each.detail for each in found.findings if each.column == "flour")


def test_a_check_may_allow_a_number_of_broken_rules(validator: PanderaValidator, loaves: pd.DataFrame, project: Path) -> None:
    bad = loaves.assign(flour=["rye", "oat", "oat", "rye"])
    check = Check("bakery_schemas:loaves", label="loaves", require=["violations <= 1"])
    assert validator.validate(None, bad, [check]).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os:system", "leads to nothing in this project"),
        ("subprocess:run", "leads to nothing in this project"),
        ("bakery_schemas:missing", "cannot be imported"),
        ("bakery_schemas:several", "no schema of frames"),
        ("not_there:schema", "leads to nothing in this project"),
    ],
)
def test_what_is_no_schema_of_the_project_is_refused(
    validator: PanderaValidator, loaves: pd.DataFrame, project: Path, name: str, said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        validator.validate(None, loaves, [name])


def test_schemas_are_taken_as_objects(validator: PanderaValidator, loaves: pd.DataFrame) -> None:
    schema = pa.DataFrameSchema({"weight": pa.Column(float, pa.Check.le(0.8)), "price": pa.Column(float)}, name="cheap")
    found = validator.validate(None, loaves, [schema])
    assert found.metrics == {"cheap.violations": 2.0, "cheap.violations.weight": 1.0, "cheap.violations.price": 1.0}


def test_a_schema_that_converts_leaves_the_frame_as_it_was(validator: PanderaValidator, loaves: pd.DataFrame) -> None:
    texts = loaves.assign(weight=loaves.weight.astype(str))
    before = texts.copy()
    schema = pa.DataFrameSchema({"weight": pa.Column(float, coerce=True)}, name="converting")
    assert validator.validate(None, texts, [schema]).verdict is Verdict.PASS
    pd.testing.assert_frame_equal(texts, before)


def test_a_built_in_check_is_asked_by_name(validator: PanderaValidator, loaves: pd.DataFrame) -> None:
    check = Check("in_range", columns=["weight"], options={"min_value": 0, "max_value": 0.8})
    found = validator.validate(None, loaves, [check])
    assert (found.verdict, found.metrics) == (Verdict.FAIL, {"in_range.failed_share.weight": 0.25})
    lenient = Check("in_range", columns=["weight"], options=check.options, require=["failed_share <= 0.25"])
    assert validator.validate(None, loaves, [lenient]).verdict is Verdict.PASS


def test_every_check_that_is_listed_is_one_of_panderas(validator: PanderaValidator) -> None:
    assert [name for name in validator.own_checks() if name != "DataFrameSchema" and not hasattr(pa.Check, name)] == []


def test_arguments_that_a_check_does_not_take_are_refused(validator: PanderaValidator, loaves: pd.DataFrame) -> None:
    with pytest.raises(DefinitionError, match=r"'in_range' takes no 'lowest'\. Known: .*min_value"):
        validator.validate(None, loaves, [Check("in_range", columns=["weight"], options={"lowest": 0, "max_value": 1})])
    with pytest.raises(DefinitionError, match=r"'in_range' cannot be made of .*'max_value'"):
        validator.validate(None, loaves, [Check("in_range", columns=["weight"], options={"min_value": 0})])
    with pytest.raises(DefinitionError, match="no schema"):
        validator.validate(None, loaves, ["DataFrameSchema"])


def test_a_check_that_cannot_be_made_of_a_column_fails_and_says_why(validator: PanderaValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, [Check("in_range", columns=["flour"], options={"min_value": 0, "max_value": 1})])
    (finding,) = found.findings
    assert (finding.verdict, finding.value) == (Verdict.FAIL, None)
    assert finding.detail.startswith("in_range(0, 1): TypeError")


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


def test_a_frame_of_every_kind_of_column_is_as_it_is(validator: PanderaValidator) -> None:
    found = validator.validate(kinds(), kinds().head(2), ["schema"])
    assert found.broken == []


def test_other_kinds_values_and_ranges_are_found(validator: PanderaValidator) -> None:
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


def test_a_text_of_many_values_may_say_anything(validator: PanderaValidator) -> None:
    names = pd.DataFrame({"name": [f"loaf {number}" for number in range(60)]})
    others = pd.DataFrame({"name": ["another loaf"]})
    assert validator.validate(names, others, ["schema"]).verdict is Verdict.PASS
    assert validator.validate(names, others, [Check("schema", options={"most_values": 100})]).verdict is Verdict.FAIL


def test_rows_that_cannot_be_compared_are_not_counted(validator: PanderaValidator) -> None:
    lists = pd.DataFrame({"parts": [[1], [1], None]})
    found = validator.validate(None, lists, [Check("quality")])
    repeated = next(each for each in found.findings if each.metric == "duplicated_share")
    assert (repeated.value, found.metrics["quality.missing_share"]) == (None, pytest.approx(1 / 3))
    assert "unhashable" in repeated.detail


def test_rows_are_counted_whatever_their_index(validator: PanderaValidator) -> None:
    frame = pd.DataFrame({"a": [1.0, 1.0, None, None]}, index=[5, 5, 5, 5])
    found = validator.validate(None, frame, ["quality"])
    assert found.metrics == {"quality.missing_share": 0.5, "quality.missing_share.a": 0.5, "quality.duplicated_share": 0.5}
