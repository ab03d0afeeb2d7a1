"""What Evidently is asked, and what of its answers is taken."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dovetail.components import Check, Verdict
from dovetail.errors import DefinitionError, ValidationError
from evidently.metrics import MeanValue
from evidently.presets import DataDriftPreset
from evidently.tests import lt

from dovetail_evidently.validator import EvidentlyValidator

VALIDATOR = EvidentlyValidator()


@pytest.fixture(scope="module")
def bread() -> Any:
    dice = np.random.default_rng(5)
    flours = np.array(["rye", "wheat", "spelt"])[dice.integers(0, 3, 400)]
    frame = pd.DataFrame({"weight": dice.normal(50, 5, 400), "minutes": dice.uniform(10, 60, 400), "flour": flours})
    foretold = np.where(dice.random(400) < 0.8, flours, "rye")
    return frame.assign(foretold=foretold, grams=frame.weight + dice.normal(0, 2, 400), baked=pd.date_range("2026-01-01", periods=400, freq="h"))


def metrics(*checks: Any, reference: Any = None, current: Any = None) -> dict[str, float]:
    return VALIDATOR.validate(reference, current, checks).metrics


def test_a_metric_is_asked_by_its_name_for_each_column_that_is_named(bread: Any) -> None:
    asked = Check("MeanValue", columns=["weight", "minutes"], require=["value.weight < 40"])
    found = VALIDATOR.validate(None, bread, [asked])
    assert found.metrics == pytest.approx({"MeanValue.value.weight": bread.weight.mean(), "MeanValue.value.minutes": bread.minutes.mean()})
    assert [(each.column, each.verdict) for each in found.broken] == [("weight", Verdict.FAIL)]


def test_options_are_the_metrics_arguments(bread: Any) -> None:
    quantile = Check("QuantileValue", options={"column": "weight", "quantile": 0.9})
    rye = Check("CategoryCount", options={"column": "flour", "category": "rye"})
    count = int((bread.flour == "rye").sum())
    wanted = {"QuantileValue.value.weight": bread.weight.quantile(0.9), "CategoryCount.count.flour": count, "CategoryCount.share.flour": count / 400}
    assert metrics(quantile, rye, current=bread) == pytest.approx(wanted)


def test_scores_of_each_class_are_told_by_their_labels(bread: Any) -> None:
    found = metrics(Check("RecallByLabel", target="flour", prediction="foretold"), current=bread)
    rye = bread[bread.flour == "rye"]
    assert found["RecallByLabel.rye"] == pytest.approx((rye.foretold == "rye").mean())
    assert set(found) == {"RecallByLabel.rye", "RecallByLabel.wheat", "RecallByLabel.spelt"}


def test_of_two_classes_the_one_that_counts_can_be_said(bread: Any) -> None:
    two = bread[bread.flour != "spelt"].assign(foretold=lambda frame: frame.foretold.replace("spelt", "rye"))
    for positive in ("rye", "wheat"):
        found = metrics(Check("Recall", target="flour", prediction="foretold", options={"positive": positive}), current=two)
        assert found["Recall.value"] == pytest.approx((two[two.flour == positive].foretold == positive).mean())


def test_presets_are_asked_by_name_and_give_all_their_metrics(bread: Any) -> None:
    found = metrics("DataSummaryPreset", Check("ClassificationPreset", target="flour", prediction="foretold"), current=bread)
    assert (found["DataSummaryPreset.RowCount"], found["DataSummaryPreset.ColumnCount"], found["DataSummaryPreset.ColumnCount.num"]) == (400, 6, 3)
    assert found["ClassificationPreset.Accuracy"] == pytest.approx((bread.flour == bread.foretold).mean())
    assert metrics(Check("RegressionPreset", target="weight", prediction="grams"), current=bread)["RegressionPreset.MAE.mean"] == pytest.approx(
        (bread.grams - bread.weight).abs().mean()
    )


def test_objects_of_evidently_are_taken_as_they_are_with_their_tests(bread: Any) -> None:
    found = VALIDATOR.validate(bread, bread.assign(weight=bread.weight + 20), [MeanValue(column="weight", tests=[lt(60)]), DataDriftPreset(columns=["weight"])])
    assert found.verdict is Verdict.FAIL
    assert [each.check for each in found.broken if each.metric == "value"] == ["MeanValue.weight"]
    assert "60.000" in found.broken[0].detail
    assert found.metrics["DataDriftPreset.DriftedColumnsCount.share"] == 1
    with pytest.raises(DefinitionError, match="was given 7 as a check"):
        VALIDATOR.validate(None, bread, [7])


def test_two_checks_of_one_kind_do_not_mix(bread: Any) -> None:
    other = bread.assign(flour2=bread.flour.replace("spelt", "rye"), foretold2=bread.foretold.replace("spelt", "wheat"), grams2=bread.weight * 2 + bread.grams / 9)
    pairs = [("classification", "flour", "foretold"), ("classification", "flour2", "foretold2"), ("regression", "weight", "grams"), ("regression", "weight", "grams2")]
    checks = [Check(name, target=was, prediction=said, label=f"{name} of {said}") for name, was, said in pairs]
    alone = {name: value for check in checks for name, value in metrics(check, current=other).items()}
    assert metrics(*checks, reference=other, current=other) == pytest.approx(alone)


@pytest.mark.parametrize("off", [0.1, -3.0])
def test_numbers_that_are_all_off_by_the_same_are_scored(bread: Any, off: float) -> None:
    found = metrics(Check("regression", target="weight", prediction="said"), current=bread.assign(said=bread.weight + off))
    wanted = {"regression.mae": abs(off), "regression.rmse": abs(off), "regression.r2": 1 - off**2 / bread.weight.var(ddof=0)}
    assert found == pytest.approx(wanted)


def test_quality_of_some_columns_counts_in_those_alone(bread: Any) -> None:
    holed = bread.assign(weight=bread.weight.where(bread.index > 9))
    found = metrics(Check("quality", columns=["weight", "flour"]), current=holed)
    repeated = holed[["weight", "flour"]].duplicated().mean()
    assert found == pytest.approx(
        {"quality.missing_share": 10 / 800, "quality.missing_share.weight": 10 / 400, "quality.missing_share.flour": 0.0, "quality.duplicated_share": repeated}
    )


def test_how_drift_is_measured_can_be_said_of_the_component_and_of_a_check(bread: Any) -> None:
    moved = bread.assign(weight=bread.weight + 1)
    columns = ["weight", "minutes"]
    by_component = EvidentlyValidator(drift_method="psi", drift_threshold=0.9).validate(bread, moved, [Check("drift", columns=columns)])
    by_check = VALIDATOR.validate(bread, moved, [Check("drift", columns=columns, options={"method": "psi", "threshold": 0.9})])
    assert by_component.metrics == by_check.metrics
    assert 0 < by_check.metrics["drift.drift.weight"] < 0.9
    assert by_component.verdict is by_check.verdict is Verdict.PASS
    assert "PSI" in str([each.detail for each in by_check.findings])
    share = EvidentlyValidator(drift_share=0.9).validate(bread, bread.assign(weight=bread.weight + 20), [Check("drift", columns=columns)])
    assert (share.metrics["drift.drifted_share"], share.verdict) == (0.5, Verdict.WARN)


def test_times_are_not_compared_and_a_frame_of_them_alone_is_refused(bread: Any) -> None:
    assert "drift.drift.baked" not in metrics("drift", reference=bread, current=bread)
    with pytest.raises(DefinitionError, match="no column to compare"):
        metrics(Check("drift", columns=["baked"]), reference=bread, current=bread)


def test_a_column_that_changed_its_type_is_told_and_spoils_no_other_check(bread: Any) -> None:
    found = VALIDATOR.validate(bread, bread.assign(minutes=bread.minutes.astype(str)), ["schema", "drift", "quality"])
    broken = [each for each in found.broken if each.check == "schema" and each.column]
    assert [(each.column, each.detail) for each in broken] == [("minutes", "it was float64, a number, and is object, a text")]
    assert {each.column for each in found.broken if each.check == "drift"} == {"minutes"}


@pytest.mark.filterwarnings("ignore:The behavior of DataFrame concatenation:FutureWarning")  # Evidently's way of putting the two frames together
@pytest.mark.parametrize("void", [math.nan, math.inf, None])
def test_a_column_that_holds_nothing_has_drifted_and_spoils_no_other_check(bread: Any, void: Any) -> None:
    columns = ["weight", "minutes", "flour"]
    found = VALIDATOR.validate(bread, bread.assign(weight=void), [Check("drift", columns=columns), Check("quality", columns=["minutes"])])
    (gone,) = (each for each in found.broken if each.column)
    assert (gone.column, gone.value, gone.detail) == ("weight", None, "it has no values in the current frame")
    assert (found.metrics["drift.drifted_share"], found.metrics["quality.missing_share"]) == (pytest.approx(1 / 3), 0)
    both = VALIDATOR.validate(bread.assign(weight=void), bread.assign(weight=void), [Check("drift", columns=["weight"]), "quality", "schema"])
    assert both.metrics["drift.drifted_share"] == 0
    before = VALIDATOR.validate(bread.assign(weight=void), bread, [Check("drift", columns=["weight"], require=["drift < 1"])])
    assert [str(each.verdict.value) for each in before.broken] == ["fail", "fail"]


def test_spans_of_time_are_not_compared_and_cells_of_lists_are_refused_in_a_sentence(bread: Any) -> None:
    spans = bread.assign(rested=pd.to_timedelta(range(len(bread)), unit="h"))
    found = VALIDATOR.validate(spans, spans, ["drift", "quality", "schema"])
    assert found.verdict is Verdict.PASS and "drift.drift.rested" not in found.metrics
    with pytest.raises(ValidationError, match="could not measure 'schema': TypeError: unhashable"):
        VALIDATOR.validate(bread.assign(tags=[["a"]] * len(bread)), bread.assign(tags=[["a"]] * len(bread)), ["schema"])


def test_what_evidently_cannot_do_is_told_as_one_sentence_with_the_check(bread: Any) -> None:
    wrong: list[tuple[Any, type[Exception], str]] = [
        (Check("QuantileValue", options={"colum": "weight"}), DefinitionError, "has no option 'colum': it is no argument of QuantileValue. Did you mean 'column'"),
        ("MeanValue", DefinitionError, "cannot make the check 'MeanValue': .*column.* Its options are the arguments of MeanValue: column, tests"),
        (Check("MeanValue", columns=["flour"]), ValidationError, "could not measure 'MeanValue': TypeError"),
        (Check("drift", options={"method": "nope"}), ValidationError, "could not measure 'drift': .*No stattest found of name nope"),
        ("MeanValeu", DefinitionError, "has no check 'MeanValeu'. Did you mean 'MeanValue'"),
        ("json:NoSuchMetric", DefinitionError, "no attribute 'NoSuchMetric'. Write package.module:Class"),
        ("no_such_module:Metric", DefinitionError, "No module named 'no_such_module'"),
        ("json:JSONDecoder", DefinitionError, "json:JSONDecoder is no metric of Evidently's"),
    ]
    for check, error, said in wrong:
        with pytest.raises(error, match=said):
            VALIDATOR.validate(bread, bread, [check])


def test_nothing_is_sent_to_anybody() -> None:
    """Also where nobody asked not to be tracked."""
    code = """
import sys
asked = []
sys.addaudithook(lambda event, arguments: asked.append((event, str(arguments))) if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") else None)
import pandas as pd
from dovetail_evidently.validator import EvidentlyValidator
frame = pd.DataFrame({"a": [float(number) for number in range(60)]})
print(EvidentlyValidator().validate(frame, frame, ["drift", "quality", "schema"]).verdict.value, asked)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "pass []", done.stderr
