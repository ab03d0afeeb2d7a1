"""Where the observer looks for the catalog of a run's stack."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing import Contract
from dovetail.testing.trial import TrialProject
from dovetail_data_catalog.publishing import publish_run


class TestStacks(Contract):
    def test_a_run_on_a_stack_that_no_name_leads_to_is_left_alone(
        self, project: TrialProject, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"))
        with caplog.at_level(logging.WARNING, "dovetail"):
            run = trial.run(project.pipelines.single)
        assert (run.status, run.stack, caplog.messages) == ("completed", "contract", [])

    def test_an_active_stack_that_is_out_of_order_keeps_no_other_from_publishing(
        self, project: TrialProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOVETAIL_STACK", "gone")
        publish_run({"run": "any", "stack": "default"})
