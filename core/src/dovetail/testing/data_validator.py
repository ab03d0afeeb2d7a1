"""What every data validator keeps: a check means the same whoever does it, and what cannot be checked is refused beforehand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Check, DataValidator, Validation, Verdict
from dovetail.components.data_validator import PORTABLE
from dovetail.errors import DefinitionError
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.contract import Contract
from dovetail.testing.trial import TrialProject

_LOADED = re.compile(r"<(?:script|img|iframe|source|embed)\b[^>]*?\ssrc\s*=\s*[\"']?(?:https?:)?//|<link\b[^>]*?\shref\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE)
_IMPORTED = re.compile(r"@import\s+(?:url\()?[\"']?(?:https?:)?//", re.IGNORECASE)


class DataValidatorContract(Contract):
    """Fixture `validator`: the one to try. Promises of portable checks that it does not state are left out."""

    @pytest.fixture
    def frame(self) -> Any:
        """600 rows of two numbers and a text, without a missing cell or a repeated row."""
        import numpy as np
        import pandas as pd

        dice = np.random.default_rng(7)
        kinds = np.array(["rye", "wheat", "spelt"])[dice.integers(0, 3, 600)]
        return pd.DataFrame({"weight": dice.normal(50, 5, 600), "minutes": dice.uniform(10, 60, 600), "flour": kinds})

    @pytest.fixture
    def labels(self) -> Any:
        """Classes and what was foretold of them, of which one was never foretold."""
        import pandas as pd

        was = ["rye"] * 30 + ["wheat"] * 40 + ["spelt"] * 20 + ["oat"] * 10
        said = ["rye"] * 24 + ["wheat"] * 6 + ["wheat"] * 31 + ["spelt"] * 9 + ["spelt"] * 18 + ["rye"] * 2 + ["rye"] * 10
        return pd.DataFrame({"was": was, "said": said})

    @pytest.fixture
    def yes_or_no(self) -> Any:
        import pandas as pd

        return pd.DataFrame({"was": [1] * 25 + [0] * 75, "said": [1] * 15 + [0] * 10 + [1] * 5 + [0] * 70})

    @pytest.fixture
    def numbers(self) -> Any:
        import numpy as np
        import pandas as pd

        was = np.linspace(1.0, 40.0, 200)
        return pd.DataFrame({"was": was, "said": was * 0.9 + np.sin(np.arange(200)) * 3})

    # Drift

    def test_the_same_frame_has_not_drifted(self, validator: DataValidator, frame: Any) -> None:
        found = _only(validator, "drift").validate(frame, frame.copy(), ["drift"])
        assert (found.verdict, found.broken) == (Verdict.PASS, [])
        assert found.metrics["drift.drifted_share"] == 0
        assert {f"drift.drift.{name}" for name in frame.columns} <= set(found.metrics)

    def test_a_number_that_was_shifted_is_found_by_its_name(self, validator: DataValidator, frame: Any) -> None:
        found = _only(validator, "drift").validate(frame, frame.assign(weight=frame.weight + 20), ["drift"])
        assert found.verdict is Verdict.WARN
        assert _columns(found, "drift") == {"weight"}
        assert found.metrics["drift.drifted_share"] == pytest.approx(1 / 3)

    def test_texts_that_became_others_are_found_by_their_column(self, validator: DataValidator, frame: Any) -> None:
        found = _only(validator, "drift").validate(frame, frame.assign(flour=["rye"] * 540 + ["wheat"] * 60), ["drift"])
        assert _columns(found, "drift") == {"flour"}

    def test_a_column_that_holds_nothing_any_more_has_drifted(self, validator: DataValidator, frame: Any) -> None:
        found = _only(validator, "drift").validate(frame, frame.assign(weight=float("nan")), ["drift"])
        assert found.verdict is not Verdict.PASS
        assert _columns(found, "drift") == {"weight"}

    def test_drift_of_half_of_the_columns_fails(self, validator: DataValidator, frame: Any) -> None:
        moved = frame.assign(weight=frame.weight + 20, minutes=frame.minutes * 3)
        found = _only(validator, "drift").validate(frame, moved, ["drift"])
        assert (found.verdict, _columns(found, "drift")) == (Verdict.FAIL, {"weight", "minutes"})

    def test_only_the_columns_that_a_check_names_are_looked_at(self, validator: DataValidator, frame: Any) -> None:
        moved = frame.assign(weight=frame.weight + 20)
        found = _only(validator, "drift").validate(frame, moved, [Check("drift", columns=["minutes", "flour"])])
        assert (found.verdict, found.metrics["drift.drifted_share"]) == (Verdict.PASS, 0)
        assert "drift.drift.weight" not in found.metrics

    # Quality

    def test_missing_cells_and_repeated_rows_are_counted_exactly(self, validator: DataValidator, frame: Any) -> None:
        import pandas as pd

        holed = frame.copy()
        holed.loc[holed.index[:61], "weight"] = None
        holed.loc[holed.index[:31], "flour"] = None
        holed = pd.concat([holed, holed.tail(151)], ignore_index=True)
        found = _only(validator, "quality").validate(None, holed, ["quality"])
        wanted = {"missing_share": 92 / 2253, "missing_share.weight": 61 / 751, "missing_share.minutes": 0.0, "missing_share.flour": 31 / 751}
        assert _given(found, "quality", wanted) == pytest.approx(wanted, abs=1e-9)
        assert found.metrics["quality.duplicated_share"] == pytest.approx(151 / 751, abs=1e-9)
        assert found.verdict is Verdict.PASS, "nothing was required"

    def test_a_whole_frame_misses_and_repeats_nothing(self, validator: DataValidator, frame: Any) -> None:
        found = _only(validator, "quality").validate(frame, frame.copy(), [Check("quality", require=["missing_share == 0", "duplicated_share == 0"])])
        assert (found.verdict, found.metrics["quality.missing_share"], found.metrics["quality.duplicated_share"]) == (Verdict.PASS, 0, 0)

    # Schema

    def test_a_frame_as_the_reference_breaks_no_rule(self, validator: DataValidator, frame: Any) -> None:
        found = _only(validator, "schema").validate(frame, frame.head(400), ["schema"])
        assert (found.verdict, found.metrics["schema.violations"]) == (Verdict.PASS, 0)

    @pytest.mark.parametrize(
        ("column", "changed"),
        [
            ("minutes", lambda column: column.round(1).astype(str) + " min"),
            ("minutes", lambda column: column.where(column.index != 5, 9_000.0)),
            ("flour", lambda column: column.where(column.index != 5, "sawdust")),
        ],
        ids=["type", "range", "category"],
    )
    def test_a_broken_rule_fails_and_names_the_column(
        self, validator: DataValidator, frame: Any, column: str, changed: Callable[[Any], Any]
    ) -> None:
        found = _only(validator, "schema").validate(frame, frame.assign(**{column: changed(frame[column])}), ["schema"])
        assert found.verdict is Verdict.FAIL
        assert found.metrics["schema.violations"] >= 1
        assert _columns(found, "violations") == {column}

    # Classification and regression

    def test_the_scores_of_classes_are_right(self, validator: DataValidator, labels: Any) -> None:
        found = _only(validator, "classification").validate(None, labels, [Check("classification", target="was", prediction="said")])
        wanted = _class_scores(labels)
        assert _given(found, "classification", wanted) == pytest.approx(wanted, abs=1e-6)
        assert found.verdict is Verdict.PASS, "nothing was required"

    def test_the_scores_of_two_classes_are_means_over_both(self, validator: DataValidator, yes_or_no: Any) -> None:
        found = _only(validator, "classification").validate(yes_or_no, yes_or_no, [Check("classification", target="was", prediction="said")])
        wanted = _class_scores(yes_or_no)
        assert _given(found, "classification", wanted) == pytest.approx(wanted, abs=1e-6)

    def test_the_errors_of_numbers_are_right(self, validator: DataValidator, numbers: Any) -> None:
        found = _only(validator, "regression").validate(None, numbers, [Check("regression", target="was", prediction="said")])
        off = numbers.said - numbers.was
        wanted = {
            "mae": float(off.abs().mean()),
            "rmse": math.sqrt((off**2).mean()),
            "r2": 1 - float((off**2).sum() / ((numbers.was - numbers.was.mean()) ** 2).sum()),
        }
        assert _given(found, "regression", wanted) == pytest.approx(wanted, abs=1e-6)

    @pytest.mark.parametrize("check", ["classification", "regression"])
    def test_scores_without_a_target_are_refused(self, validator: DataValidator, numbers: Any, check: str) -> None:
        with pytest.raises(DefinitionError, match="target=…, prediction=…"):
            _only(validator, check).validate(None, numbers, [check])
        with pytest.raises(DefinitionError, match=r"'wass'.*Did you mean 'was'"):
            validator.validate(None, numbers, [Check(check, target="wass", prediction="said")])

    def test_errors_of_what_is_no_number_are_refused(self, validator: DataValidator, labels: Any) -> None:
        with pytest.raises(DefinitionError, match="compares numbers, and the column 'was' holds"):
            _only(validator, "regression").validate(None, labels, [Check("regression", target="was", prediction="said")])

    def test_predictions_that_are_right_have_no_error(self, validator: DataValidator, numbers: Any) -> None:
        exact = numbers.assign(said=numbers.was)
        found = _only(validator, "regression").validate(exact, exact.copy(), [Check("regression", target="was", prediction="said")])
        wanted = {"mae": 0.0, "rmse": 0.0, "r2": 1.0}
        assert _given(found, "regression", wanted) == pytest.approx(wanted, abs=1e-6)

    # Verdicts

    def test_what_is_required_decides(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        check, metric, reference, current = _measurable(validator, frame, labels, numbers)
        verdicts = {
            Verdict.PASS: (f"{metric} >= -1000", f"{metric} < 1000"),
            Verdict.WARN: (f"{metric} >= -1000", f"{metric} > 1000"),
            Verdict.FAIL: (f"{metric} > 1000", f"{metric} < 1000"),
        }
        for wanted, (require, expect) in verdicts.items():
            found = validator.validate(reference, current, [_with(check, require=[require], expect=[expect])])
            of_metric = next(each for each in found.findings if each.metric == metric and each.column is None)
            assert of_metric.verdict is wanted
            assert wanted is Verdict.PASS or of_metric.requirement == f"{metric} > 1000"
            assert (found.verdict is Verdict.FAIL) == (wanted is Verdict.FAIL)

    def test_a_requirement_on_what_is_not_measured_fails(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        check, _, reference, current = _measurable(validator, frame, labels, numbers)
        found = validator.validate(reference, current, [_with(check, require=["beauty > 0.5"])])
        assert (found.verdict, found.broken[0].metric, found.broken[0].value) == (Verdict.FAIL, "beauty", None)

    def test_two_checks_of_one_name_are_told_apart_by_their_labels(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        check, metric, reference, current = _measurable(validator, frame, labels, numbers)
        with pytest.raises(DefinitionError, match="two checks called"):
            validator.validate(reference, current, [check, check])
        pair = [_with(check, label="lax"), _with(check, label="strict", require=[f"{metric} > 1000"])]
        found = validator.validate(reference, current, pair)
        assert {"lax", "strict"} == {each.check for each in found.findings}
        assert {each.check for each in found.findings if each.verdict is Verdict.FAIL} == {"strict"}
        assert found.metrics[f"lax.{metric}"] == found.metrics[f"strict.{metric}"]

    # What is refused before anything is measured

    def test_an_empty_frame_is_refused(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        check, _, _, current = _measurable(validator, frame, labels, numbers)
        for reference, now in ((current, current.head(0)), (current.head(0), current)):
            with pytest.raises(DefinitionError, match="is empty"):
                validator.validate(reference, now, [check])

    def test_other_columns_than_the_references_are_refused_by_name(self, validator: DataValidator, frame: Any) -> None:
        check = Check(validator.portable[0], target="weight", prediction="minutes")
        with pytest.raises(DefinitionError, match="lacks 'flour' and has 'bran' besides"):
            validator.validate(frame, frame.rename(columns={"flour": "bran"}), [check])

    def test_a_check_that_it_does_not_know_is_refused_by_name(self, validator: DataValidator, frame: Any) -> None:
        with pytest.raises(DefinitionError, match="no check 'no_such_check'"):
            validator.validate(frame, frame, ["no_such_check"])

    @pytest.mark.parametrize("name", PORTABLE)
    def test_a_portable_check_is_stated_or_refused(self, validator: DataValidator, frame: Any, name: str) -> None:
        assert set(validator.portable) <= set(PORTABLE)
        if name in validator.portable:
            return
        with pytest.raises(DefinitionError, match=f"no check '{name}'"):
            validator.validate(frame, frame, [Check(name, target="weight", prediction="minutes")])

    @pytest.mark.parametrize("name", ["drift", "schema"])
    def test_what_compares_is_refused_without_a_reference(self, validator: DataValidator, frame: Any, name: str) -> None:
        with pytest.raises(DefinitionError, match="reference"):
            _only(validator, name).validate(None, frame, [name])

    # What it gives

    def test_frames_are_not_changed(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        for check, reference, current in _all(validator, frame, labels, numbers):
            before = current.copy(deep=True)
            validator.validate(reference, current, [check])
            assert list(current.columns) == list(before.columns)
            assert (current.dtypes == before.dtypes).all()
            assert current.equals(before), f"{check.name} changed the frame"

    def test_the_page_is_whole_and_asks_nothing_of_a_network(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        for check, reference, current in _all(validator, frame, labels, numbers):
            page = validator.validate(reference, current, [check]).html
            assert "<html" in page.lower()
            assert "</html>" in page.lower()
            assert not _LOADED.search(page), _LOADED.search(page)
            assert not _IMPORTED.search(page), _IMPORTED.search(page)

    def test_the_report_is_json(self, validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> None:
        for check, reference, current in _all(validator, frame, labels, numbers):
            found = validator.validate(reference, current, [check])
            assert json.loads(json.dumps(found.report, allow_nan=False)) == found.report
            assert found.rows["current"] == len(current)
            assert validator.version() in found.validator

    def test_a_validation_is_an_artifact_like_any_other(
        self, validator: DataValidator, frame: Any, labels: Any, numbers: Any, project: TrialProject, tmp_path: Path
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"))
        checks = _all(validator, frame, labels, numbers)
        found = validator.validate(checks[0][1], checks[0][2], [checks[0][0]])
        digest, _ = trial.client.ledger.artifacts.save(found)
        assert trial.client.ledger.artifacts.load(digest) == found

    def test_its_own_check_finds_nothing_wrong(self, validator: DataValidator) -> None:
        assert validator.check() == []


def _only(validator: DataValidator, name: str) -> DataValidator:
    if name not in validator.portable:
        pytest.skip(f"the validator states no {name}")
    return validator


def _columns(found: Validation, metric: str) -> set[str]:
    return {str(each.column) for each in found.broken if each.metric == metric and each.column is not None}


def _given(found: Validation, check: str, wanted: dict[str, float]) -> dict[str, float | None]:
    return {name: found.metrics.get(f"{check}.{name}") for name in wanted}


def _class_scores(labels: Any) -> dict[str, float]:
    """By hand: the mean over the classes that were or were foretold."""
    was, said = list(labels.was), list(labels.said)
    precisions, recalls, f1s = [], [], []
    for label in sorted({*was, *said}):
        right = sum(one == other == label for one, other in zip(was, said, strict=True))
        foretold, there = said.count(label), was.count(label)
        precisions.append(right / foretold if foretold else 0.0)
        recalls.append(right / there if there else 0.0)
        f1s.append(2 * right / (foretold + there))
    means = {name: sum(values) / len(values) for name, values in (("precision", precisions), ("recall", recalls), ("f1", f1s))}
    return {"accuracy": sum(one == other for one, other in zip(was, said, strict=True)) / len(was), **means}


def _all(validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> list[tuple[Check, Any, Any]]:
    """Each portable check that it states, with a reference and a current frame."""
    known = {
        "drift": (Check("drift"), frame, frame.assign(weight=frame.weight + 20)),
        "quality": (Check("quality"), None, frame),
        "schema": (Check("schema"), frame, frame.head(400)),
        "classification": (Check("classification", target="was", prediction="said"), None, labels),
        "regression": (Check("regression", target="was", prediction="said"), None, numbers),
    }
    return [known[name] for name in validator.portable]


def _measurable(validator: DataValidator, frame: Any, labels: Any, numbers: Any) -> tuple[Check, str, Any, Any]:
    """A check that measures something, and what."""
    metrics = {"drift": "drifted_share", "quality": "missing_share", "schema": "violations", "classification": "accuracy", "regression": "mae"}
    check, reference, current = _all(validator, frame, labels, numbers)[0]
    return check, metrics[check.name], reference, current


def _with(check: Check, label: str = "", require: Sequence[str] = (), expect: Sequence[str] = ()) -> Check:
    return Check(check.name, check.columns, check.target, check.prediction, require, expect, check.options, label)
