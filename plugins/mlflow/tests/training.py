"""The pipelines of these tests, as a user of MLflow writes them. Copied into a project of each test's own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from dovetail import ArtifactConfig, ArtifactType, Environment, Model, Retry, get_step_context, log_metrics, log_params, pipeline, step
from dovetail_mlflow.steps import mlflow_model_deployer_step
from dovetail.testing.models import Scales, ScalesMaterializer


@step
def plain(value: int) -> int:
    """Plain MLflow, and nothing of Dovetail."""
    mlflow.log_param("value", value)
    mlflow.log_metric("loss", 0.5, step=1)
    mlflow.set_tag("kind", "plain")
    Path("note.txt").write_text("a note")
    mlflow.log_artifact("note.txt", "notes")
    return value


@step
def both(value: int) -> str:
    log_params(value=value)
    mlflow.log_metric("plain", 1.0)
    log_metrics(mirrored=2.0)
    return mlflow.active_run().info.run_id


@step
def imported_late(value: int) -> int:
    import mlflow as late

    late.log_metric("late", float(value))
    return value


@step
def fitted() -> Annotated[LogisticRegression, "iris_model"]:
    mlflow.autolog(log_models=False, silent=True)
    data, target = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=200).fit(data, target)


@step
def fitted_by_itself(after: LogisticRegression) -> Annotated[LogisticRegression, "second_model"]:
    data, target = load_iris(return_X_y=True)
    mlflow.log_param("by_itself", True)
    return LogisticRegression(max_iter=200).fit(data, target)


@step
def nested(folds: int) -> None:
    for fold in range(folds):
        with mlflow.start_run(run_name=f"fold {fold}", nested=True):
            mlflow.log_metric("fold", fold)
    mlflow.start_run(run_name="left open", nested=True)


@step(retry=Retry(max_retries=1))
def fails_once(marker: str) -> str:
    mlflow.log_metric("attempt", get_step_context().attempt)
    mlflow.log_param("steady", 1)
    log_params(marker=marker, number=get_step_context().attempt)
    if not os.path.exists(marker):
        Path(marker).touch()
        raise ValueError("not yet")
    return mlflow.active_run().info.run_id


@step
def failing(value: int) -> None:
    mlflow.log_metric("before", value)
    raise ValueError("no more flour")


@step
def slow(number: int) -> int:
    mlflow.log_param("number", number)
    time.sleep(0.5)
    mlflow.log_metric("number", number)
    return number


@step
def told() -> dict[str, str]:
    """What the step sees of MLflow's environment."""
    return {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}


@step(environment=Environment(env={"MLFLOW_MINE": "1"}))
def told_with_its_own() -> dict[str, str]:
    mlflow.log_param("mine", os.environ["MLFLOW_MINE"])
    return {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}


@step(output_materializers=ScalesMaterializer)
def scales() -> Annotated[Scales, ArtifactConfig(name="scales_model", artifact_type=ArtifactType.MODEL)]:
    return Scales(2.0)


@pipeline(model=Model(name="scales"))
def weighed() -> None:
    scales()


@pipeline
def one(value: int = 3) -> None:
    plain(value)


@pipeline
def chain(value: int = 3) -> None:
    both(imported_late(plain(value)))


@pipeline
def autologged() -> None:
    fitted_by_itself(fitted())


@pipeline
def folds() -> None:
    nested(2)


@pipeline
def retried(marker: str) -> None:
    fails_once(marker)


@pipeline
def broken() -> None:
    failing(plain(1))


@pipeline
def at_once() -> None:
    slow.with_options(id="first")(1)
    slow.with_options(id="second")(2)


@pipeline
def environment() -> None:
    told_with_its_own(after=told())


@pipeline(model=Model(name="iris"))
def trained() -> None:
    fitted()


@pipeline(model=Model(name="iris"))
def served() -> None:
    mlflow_model_deployer_step(fitted(), model_name="iris")
