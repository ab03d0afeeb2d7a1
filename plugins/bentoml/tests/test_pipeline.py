"""From a step to an endpoint: a Bento is built in a pipeline, kept as an artifact, taken from the cache, and deployed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.trial import isolate, project_in
from dovetail_bentoml.model_deployer import BentoMLModelDeployer

_TRAINING = '''
from typing import Annotated

from dovetail import pipeline, step
from dovetail_bentoml.steps import bento_builder
from sklearn.linear_model import LogisticRegression


@step
def train() -> Annotated[LogisticRegression, "model"]:
    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


@pipeline
def packaging() -> None:
    bento_builder(train(), name="delays", labels={"team": "flights"})
'''


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as project:
        (tmp_path / "project" / "bento_training.py").write_text(_TRAINING)
        monkeypatch.syspath_prepend(str(tmp_path / "project"))
        store = LocalArtifactStore(path=tmp_path / "store", trusted=True)
        yield project.on(LocalOrchestrator(), store, BentoMLModelDeployer()), importlib.import_module("bento_training")
        sys.modules.pop("bento_training", None)


def test_a_bento_of_a_pipeline_is_an_artifact_that_is_cached_deployed_and_asked(training: tuple[Any, Any]) -> None:
    trial, module = training
    runs = [trial.run(module.packaging) for _ in range(2)]
    artifact = runs[0].steps["bento_builder"].output
    bento = artifact.load()
    assert (bento.name, bento.labels, bento.framework) == ("delays", {"team": "flights"}, "scikit-learn")
    assert runs[1].steps["bento_builder"].status.value == "cached"
    deployer = trial.client.active_stack.model_deployer
    made = deployer.deploy_model(config={"model": artifact, "model_name": "delays"})
    try:
        assert list(made.predict([[0.0], [3.0]])) == [0, 1]
        assert made.predict([[0.0]], method="predict_proba").shape == (1, 2)
        again = deployer.deploy_model(config={"model": artifact, "model_name": "delays"})
        assert again.url == made.url
    finally:
        made.delete()
