"""Running pipelines on components that exist already."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dovetail.components import Secret
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import TrialProject, project_in

ACME = Path(__file__).parents[1] / "acme"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrialProject:
    monkeypatch.syspath_prepend(str(ACME))
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made


def test_the_very_components_are_used(project: TrialProject, tmp_path: Path) -> None:
    store = LocalArtifactStore(path=tmp_path / "store")
    trial = project.on(LocalOrchestrator(), store)
    assert trial.workspace.store is store
    assert trial.run(project.pipelines.single, value=4).steps["scaled"].output.load() == 8


def test_a_secret_reaches_no_record_and_lasts_as_long_as_the_test(tmp_path: Path) -> None:
    variable = "DOVETAIL_CONTRACT_API_KEY"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(ACME))
        with project_in(tmp_path / "project", monkeypatch) as project:
            from dovetail_acme.components import AcmeTracker

            tracker = AcmeTracker(project="p", api_key=Secret("hunter22"))
            trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), tracker)
            made = trial.workspace.stack.with_settings(AcmeTracker, {"workers": 5})
            assert made is not None
            assert (made.api_key.reveal(), made.workers, os.environ[variable]) == ("hunter22", 5, "hunter22")
            trial.run(project.pipelines.talkative)
    assert variable not in os.environ
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file() and b"hunter22" in path.read_bytes()]


def test_a_component_that_no_plugin_declares_is_made_alike(project: TrialProject) -> None:
    class Mine(LocalOrchestrator):
        """Declared nowhere."""

    stack = project.stack_of(Mine(workers=3))
    made = stack.with_settings("orchestrator")
    assert type(made) is Mine
    assert (made.workers, made.flavor) == (3, "undeclared")
    assert made is not stack.build("orchestrator")
