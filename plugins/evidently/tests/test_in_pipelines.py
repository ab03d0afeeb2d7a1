"""Evidently in pipelines: the ready-made steps, in this process and in others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dovetail import Client, RunFailed
from dovetail.errors import PreflightFailed, ValidationFailed
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.local.step_operator import LocalStepOperator
from dovetail.testing import in_memory
from dovetail.testing.trial import TrialProject

from dovetail_evidently.validator import EvidentlyValidator


def statuses(run: Any) -> dict[str, str]:
    return {name: found.status.value for name, found in run.steps.items()}


def test_what_passes_is_trained_on_and_the_report_is_kept(steps: Any) -> None:
    with in_memory(EvidentlyValidator()) as stack:
        run = steps.gated()
        assert statuses(run) == dict.fromkeys(("load", "validate_data", "gate", "train"), "completed")
        metrics = run.steps["validate_data"].metrics
        assert metrics["quality.missing_share"] == metrics["drift.drifted_share"] == 0
        assert metrics["own_metrics:SpanValue.value.weight"] > 10
        assert stack.tracker.told["validate_data"].metrics["drift.drifted_share"] == [(0.0, None)]
        outputs = run.steps["validate_data"].outputs
        assert outputs["validation_report"].load() == outputs["validation"].load().html
        assert outputs["validation_data"].load()["verdict"] == "pass"
        assert statuses(steps.gated()) == dict.fromkeys(("load", "validate_data", "gate", "train"), "cached")


def test_what_does_not_pass_stops_what_follows_and_leaves_the_report(steps: Any) -> None:
    with in_memory(EvidentlyValidator()):
        with pytest.raises(RunFailed) as failed:
            steps.gated(heavier=20.0)
        run, error = failed.value.run, failed.value.__cause__
        assert statuses(run) == {"load": "completed", "validate_data": "completed", "gate": "failed", "train": "skipped"}
        assert isinstance(error, ValidationFailed)
        assert "drifted_share is 0.3333, wanted drifted_share < 0.3" in str(error)
        assert error.validation.metrics["drift.drifted_share"] == pytest.approx(1 / 3)
        assert "weight" in Client().get_artifact("validation_report").load()
        assert steps.gated(heavier=20.0, most=0.5).status == "completed"
        with pytest.raises(RunFailed, match=r"drift of weight is .* threshold is 0\.05\)"):
            steps.gated(heavier=20.0, most=0.5, stop_on="warn")


def test_training_again_only_where_there_is_drift(steps: Any) -> None:
    with in_memory(EvidentlyValidator()):
        assert steps.retraining(0.0).steps["train"].status == "skipped"
        assert steps.retraining(20.0).steps["train"].status == "completed"


def test_a_metric_of_the_projects_own_is_measured_as_an_object_in_a_step(steps: Any) -> None:
    with in_memory(EvidentlyValidator()):
        found = steps.own().steps["span"].outputs["span"].load()
        assert set(found.metrics) == {"SpanValue.weight.value.weight", "SpanValue.minutes.value.minutes"}


def test_another_threshold_for_one_step_is_another_verdict_and_no_hit(steps: Any) -> None:
    with in_memory(EvidentlyValidator(number_method="wasserstein")):
        verdicts = [steps.with_settings(threshold).steps["validate_data"].outputs["validation"].load().verdict.value for threshold in (5.0, 0.01)]
        assert verdicts == ["pass", "fail"]
        assert steps.with_settings(5.0).steps["validate_data"].status == "cached"


def test_a_stack_without_a_validator_is_refused_before_the_run(steps: Any) -> None:
    with in_memory(), pytest.raises(PreflightFailed, match=r"Step 'validate_data' asks for the data validator, and stack 'test' has none.*--data-validator NAME"):
        steps.gated()


@pytest.mark.parametrize("way", ["processes", "operator"])
def test_the_steps_run_where_nothing_but_an_address_is_shared(steps: Any, trials: TrialProject, tmp_path: Path, way: str) -> None:
    orchestrator = LocalOrchestrator(processes=way == "processes")
    trial = trials.on(orchestrator, LocalArtifactStore(path=tmp_path / "store"), EvidentlyValidator(category_method="chisquare"), LocalStepOperator())
    run = trial.run(steps.retraining if way == "processes" else steps.elsewhere, heavier=20.0)
    assert run.status == "completed", run.error
    assert run.steps["validate_data"].outputs["validation"].load().metrics["drift.drifted_share"] == pytest.approx(1 / 3)
