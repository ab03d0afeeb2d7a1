"""Deepchecks' checks, conditions and suites by name, its report, and that nobody is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dovetail.components import Check, Verdict
from dovetail.errors import DefinitionError
from dovetail_deepchecks.validator import DeepchecksValidator


@pytest.fixture
def validator() -> DeepchecksValidator:
    return DeepchecksValidator()


@pytest.fixture
def loaves() -> pd.DataFrame:
    dice = np.random.default_rng(3)
    flours = dice.choice(["rye", "wheat"], 200)
    frame = pd.DataFrame({"weight": dice.normal(1, 0.1, 200), "flour": flours, "baker": "Ada"})
    return pd.concat([frame, frame.head(50)], ignore_index=True)


def test_a_check_is_run_by_name_and_its_numbers_are_metrics(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, ["DataDuplicates", "IsSingleValue"])
    assert found.verdict is Verdict.PASS, "no condition was given"
    assert found.metrics["DataDuplicates.value"] == pytest.approx(0.2)
    assert (found.metrics["IsSingleValue.value.baker"], found.metrics["IsSingleValue.value.flour"]) == (1, 2)
    strict = Check("DataDuplicates", require=["value < 0.1"])
    assert validator.validate(None, loaves, [strict]).verdict is Verdict.FAIL


def test_conditions_are_given_by_name_and_decide(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    for share, verdict in ((0.1, Verdict.WARN), (0.3, Verdict.PASS)):
        check = Check("DataDuplicates", options={"conditions": {"ratio_less_or_equal": {"max_ratio": share}}})
        found = validator.validate(None, loaves, [check])
        assert found.verdict is verdict, "Deepchecks holds this condition for a warning"
        assert found.metrics["DataDuplicates.condition"] == (verdict is Verdict.PASS)


def test_a_check_that_compares_takes_the_reference(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    other = loaves.assign(flour="oat")
    condition = {"conditions": {"new_categories_less_or_equal": {"max_new": 0}}}
    found = validator.validate(loaves, other, [Check("NewCategoryTrainTest", columns=["flour"], options=condition)])
    assert found.verdict is Verdict.FAIL
    (finding,) = validator.validate(None, other, ["NewCategoryTrainTest"]).findings
    assert (finding.verdict, finding.value) == (Verdict.FAIL, None)
    assert "compares with a reference" in finding.detail


def test_a_suite_is_run_with_its_own_conditions(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    found = validator.validate(None, loaves, [Check("data_integrity", columns=["weight", "flour", "baker"])])
    assert found.verdict is Verdict.FAIL
    failed = {each.detail.partition(":")[0] for each in found.broken}
    assert "Single Value in Column" in failed or "Is Single Value" in failed
    assert len(found.findings) > 8


def test_predictions_are_scored_by_checks_too(validator: DeepchecksValidator) -> None:
    dice = np.random.default_rng(5)
    frame = pd.DataFrame({"x": dice.normal(size=120), "was": dice.choice(["a", "b", "c"], 120)})
    frame["said"] = frame["was"].where(frame.index % 4 != 0, "a")
    found = validator.validate(frame, frame, [Check("LabelDrift", target="was", prediction="said"), Check("PredictionDrift", target="was", prediction="said")])
    assert (found.metrics["LabelDrift.drift_score"], found.metrics["PredictionDrift.drift_score"]) == (0, 0)
    numbers = pd.DataFrame({"x": frame.x, "was": frame.x, "said": frame.x + 1})
    performance = Check("TrainTestPerformance", target="was", prediction="said")
    assert validator.validate(numbers, numbers, [performance]).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Check("DataDuplicates", options={"conditions": {"ratio": {}}}), r"knows no condition 'ratio'"),
        (Check("DataDuplicates", options={"conditions": {"ratio_less_or_equal": {"least": 1}}}), r"does not take \{'least': 1\}"),
        (Check("FeatureDrift", options={"min_sample": 3}), r"takes no 'min_sample'\. Did you mean 'min_samples'"),
        (Check("DataDuplicates", options={"dataset": {"lable": "a"}}), "Dataset does not take"),
        (Check("DataDuplicate"), "Did you mean 'DataDuplicates'"),
    ],
)
def test_what_deepchecks_does_not_take_is_refused(validator: DeepchecksValidator, loaves: pd.DataFrame, check: Check, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        validator.validate(loaves, loaves, [check])


def test_too_few_rows_are_said_to_be_too_few(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    few = loaves.head(5)
    found = validator.validate(few, few, ["drift"])
    share = next(each for each in found.findings if each.metric == "drifted_share")
    assert (share.value, share.verdict) == (None, Verdict.PASS)
    assert "min_samples" in share.detail


def kinds() -> pd.DataFrame:
    """A column of each kind that people keep in frames."""
    rows = pd.DataFrame(
        {
            "whole": [1, 2, 3, 2],
            "maybe_whole": pd.array([1, None, 3, 2], dtype="Int64"),
            "number": [0.5, None, 1.5, 1.0],
            "yes": [True, False, True, True],
            "text": ["a", None, "b", "a"],
            "kind": pd.Categorical(["a", "b", "a", None]),
            "day": pd.to_datetime(["2013-01-01", None, "2013-01-03", "2013-01-02"]),
            "mixed": [1, "a", None, 2.5],
            "nothing": [None] * 4,
            7: [1, 2, 3, 2],
        }
    )
    return pd.concat([rows] * 10, ignore_index=True)


def test_a_frame_of_every_kind_of_column_has_not_drifted_from_itself(validator: DeepchecksValidator) -> None:
    found = validator.validate(kinds(), kinds(), ["drift", "quality"])
    assert found.broken == []
    assert {each.column for each in found.findings if each.metric == "drift" and each.value is None} == {"day", "mixed", "nothing"}
    assert found.metrics["quality.missing_share.text"] == 0.25
    assert found.metrics["quality.duplicated_share"] == 0.9


def test_the_page_holds_plotly_once(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    page = validator.validate(loaves, loaves, ["drift"]).html
    assert page.count("* plotly.js v") == 1
    assert page.count("Plotly.newPlot(") > 1
    assert len(page) < 8_000_000


def test_what_stands_in_a_frame_is_no_markup_of_the_page(validator: DeepchecksValidator, loaves: pd.DataFrame) -> None:
    bad = "</script><img src=x onerror=alert(1)>"
    frame = loaves.assign(**{bad: loaves.weight, "flour": loaves.flour.where(loaves.index % 3 != 0, bad)})
    frame.loc[0, bad] = None
    checks = ["drift", "quality", "DataDuplicates", "NewCategoryTrainTest", "IsSingleValue", Check("PercentOfNulls", columns=[bad])]
    found = validator.validate(frame.assign(flour="rye"), frame, checks)
    assert "<img" not in found.html
    assert {each.column for each in found.findings if each.metric == "drift"} == {"weight", "flour", "baker", bad}
    scored = validator.validate(None, frame, [Check("classification", target="flour", prediction="flour")])
    assert scored.metrics["classification.accuracy"] == 1


def test_nothing_is_written_to_the_terminal(validator: DeepchecksValidator, loaves: pd.DataFrame, capfd: pytest.CaptureFixture[str]) -> None:
    validator.validate(loaves, loaves, ["drift", "quality", "data_integrity"])
    assert capfd.readouterr() == ("", "")


def test_deepchecks_tells_its_makers_nothing(validator: DeepchecksValidator) -> None:
    assert "FeatureDrift" in validator.own_checks()
    from deepchecks.analytics import anonymous_telemetry  # only now: it reads the variable when it is imported

    assert anonymous_telemetry.ANALYTICS_DISABLED
