"""The registry keeps what every registry keeps, and other tools find in MLflow what Dovetail has in production."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail.testing import ModelRegistryContract
from dovetail_mlflow.model_registry import MlflowModelRegistry
from dovetail_mlflow.tracker import MlflowTracker


class TestMlflowModelRegistry(ModelRegistryContract):
    @pytest.fixture
    def model_registry(self, server: Any) -> MlflowModelRegistry:
        return MlflowModelRegistry(tracking_uri=server.url)


def test_the_model_in_production_is_loaded_by_mlflow_alone(project: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from sklearn.linear_model import LogisticRegression

    trial = project.on(MlflowTracker(tracking_uri=server.url), MlflowModelRegistry(tracking_uri=server.url))
    run = trial.run(project.training.trained)
    trial.client.get_model_version("iris", 1).promote("production")
    client = server.client()
    found = client.get_model_version_by_alias("iris", "production")
    assert found.tags["dovetail.run_id"] == run.id
    parent = client.get_run(found.run_id)
    assert (parent.data.tags["dovetail.run_id"], parent.info.run_name) == (run.id, run.name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    loaded = mlflow.sklearn.load_model("models:/iris@production")
    assert isinstance(loaded, LogisticRegression)
    assert loaded.predict([[5.1, 3.5, 1.4, 0.2]]).tolist() == [0]
    assert mlflow.pyfunc.load_model("models:/iris@production").predict([[5.1, 3.5, 1.4, 0.2]]).tolist() == [0]


def test_a_model_that_mlflow_has_no_flavor_for_is_loaded_by_its_materializer(project: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    trial = project.on(MlflowModelRegistry(tracking_uri=server.url))
    trial.run(project.training.weighed)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    loaded = mlflow.pyfunc.load_model("models:/scales/1")
    assert loaded.predict([[1, 2], [3, 4.5]]) == [6.0, 15.0]
    assert loaded.predict([[1, 2]], params={"method": "predict_proba"}) == [[0.25, 0.75]]


def test_a_registry_that_is_away_fails_neither_run_nor_promotion(project: Any, unused_port: int) -> None:
    away = MlflowModelRegistry(tracking_uri=f"http://127.0.0.1:{unused_port}", on_unreachable="continue")
    trial = project.on(away)
    assert trial.run(project.training.weighed).status == "completed"
    trial.client.get_model_version("scales", 1).promote("production")
    assert trial.client.get_model_version("scales", "production").version == 1
