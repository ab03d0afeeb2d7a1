"""An image that is given is looked into before the run, as its steps' containers see it, whether or not the stack builds images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Orchestrator
from dovetail.errors import PreflightFailed
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import TrialProject
from dovetail_docker.orchestrator import DockerOrchestrator
from dovetail_docker.step_operator import DockerStepOperator


def refused(project: TrialProject, pipeline: Any, *components: Any) -> str:
    with pytest.raises(PreflightFailed) as found:
        project.on(*components).plan(pipeline)
    return str(found.value)


def store(folder: Path) -> LocalArtifactStore:
    return LocalArtifactStore(path=folder / "store")


def test_an_image_that_holds_no_dovetail_is_refused_with_what_to_install(project: TrialProject, mounted: dict[str, Any], tmp_path: Path) -> None:
    bare = DockerOrchestrator(**{**mounted, "volumes": [], "python": "python"})
    said = refused(project, project.pipelines.single, bare, store(tmp_path))
    assert f"Image {mounted['image']} holds no dovetail" in said
    assert "Install dovetail==" in said


def test_a_step_operators_image_is_looked_into_too(project: TrialProject, mounted: dict[str, Any], tmp_path: Path) -> None:
    bare = DockerStepOperator(**{**mounted, "volumes": [], "python": "python"})
    assert "holds no dovetail" in refused(project, project.pipelines.operated, LocalOrchestrator(), bare, store(tmp_path))


def test_a_python_that_is_not_in_the_image_is_refused(project: TrialProject, mounted: dict[str, Any], tmp_path: Path) -> None:
    wrong: Orchestrator = DockerOrchestrator(**{**mounted, "python": "/nowhere/python"})
    assert "python" in refused(project, project.pipelines.single, wrong, store(tmp_path))


def test_an_image_that_holds_what_the_plan_names_is_taken(project: TrialProject, mounted: dict[str, Any], tmp_path: Path) -> None:
    plan = project.on(DockerOrchestrator(**mounted), store(tmp_path)).plan(project.pipelines.single)
    assert {step.image for step in plan.steps} == {mounted["image"]}
