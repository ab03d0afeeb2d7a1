"""Steps as users of MLflow write them, with nothing of Dovetail's or another tracker's in their bodies. Copied into a project of each test's own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from dovetail import pipeline, step

@step
def trained(rate: float, folder: Path) -> Annotated[dict[str, Any], "said"]:
    """All that is led elsewhere, and reads of it."""
    with mlflow.start_run(nested=True) if mlflow.active_run() is None else mlflow.active_run() as run:
        mlflow.log_param("rate", rate)
        mlflow.log_params({"depth": 3, "kind": "linear"})
        for number in range(3):
            mlflow.log_metric("loss", 1.0 / (number + 1), step=number)
        mlflow.log_metrics({"recall": 0.5, "precision": 0.75}, step=2)
        mlflow.set_tag("team", "fraud")
        mlflow.set_tags({"data": "iris", "season": "spring"})
        note = folder / "note.txt"
        note.write_text("a note")
        mlflow.log_artifact(str(note), "notes")
        mlflow.log_dict({"a": 1}, "config.json")
        mlflow.log_text("text", "texts/deep/text.txt")
        found = mlflow.get_run(run.info.run_id)
        history = [point.value for point in mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")]
        listed = [each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id)]
        mlflow.log_table({"grams": [500, 350]}, "table.json")
        table = mlflow.load_table("table.json", run_ids=[run.info.run_id])
        text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/texts/deep/text.txt")
    tags = {name: value for name, value in found.data.tags.items() if name in ("team", "data", "season")}
    read = {"params": found.data.params, "metrics": found.data.metrics, "tags": tags}
    return {**read, "history": history, "listed": sorted(listed), "text": text, "table": table["grams"].tolist()}


@step
def autologged(after: dict[str, Any], models: bool = True) -> Annotated[float, "difference"]:
    """sklearn's autologging with its model, which is loaded again in the same step."""
    mlflow.sklearn.autolog(silent=True, log_models=models)
    data, target = load_iris(return_X_y=True)
    fitted = LogisticRegression(max_iter=200).fit(data, target)
    if not models:
        return 0.0
    run = mlflow.active_run() or mlflow.last_active_run()
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    return float(abs(loaded.predict(data) - fitted.predict(data)).max())


@step
def fitted_by_itself(after: float) -> Annotated[int, "fitted"]:
    """Autologging of the step before is not on here."""
    data, target = load_iris(return_X_y=True)
    LogisticRegression(max_iter=200).fit(data, target)
    mlflow.log_param("by_itself", True)
    return 1


@pipeline
def portable(folder: str) -> None:
    fitted_by_itself(autologged(trained(0.1, Path(folder))))


@pipeline
def without_model(folder: str) -> None:
    fitted_by_itself(autologged(trained(0.1, Path(folder)), models=False))


@step
def counted(number: int) -> str:
    for _ in range(5):
        mlflow.log_metric("number", number)
    return mlflow.active_run().info.run_id


@pipeline
def side_by_side() -> None:
    for number in range(3):
        counted.with_options(id=f"side_{number}")(number)


@step
def in_a_thread() -> int:
    thread = threading.Thread(target=lambda: mlflow.log_metric("from_thread", 1.0))
    thread.start()
    thread.join()
    mlflow.log_metric("from_step", 2.0)
    return 1


@step
def asynchronous(after: int) -> int:
    mlflow.log_metric("later", 1.0, synchronous=False)
    mlflow.log_params({"later_too": 1}, synchronous=False)
    return 1


@step
def nested(after: int) -> list[str]:
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0)
        for fold in range(2):
            with mlflow.start_run(run_name=f"fold_{fold}", nested=True):
                mlflow.log_metric("loss", float(fold))
    with mlflow.start_run():
        mlflow.log_metric("loss", 3.0)
    return [mlflow.get_tracking_uri()]


@step(timeout=120)
def apart(after: list[str]) -> int:
    import mlflow as late

    late.log_param("apart", True)
    return 1


@pipeline
def ways() -> None:
    apart(nested(asynchronous(in_a_thread())))


def with_a_model(**named: Any) -> None:
    mlflow.sklearn.log_model(LogisticRegression(), "model", **named)


@step
def refused() -> Annotated[dict[str, str], "sentences"]:
    """What each call says, or that it was done."""
    run_id = mlflow.start_run().info.run_id
    calls: dict[str, Any] = {
        "set_tracking_uri": lambda: mlflow.set_tracking_uri("sqlite:///elsewhere.db"),
        "set_registry_uri": lambda: mlflow.set_registry_uri("sqlite:///elsewhere.db"),
        "set_experiment": lambda: mlflow.set_experiment("mine"),
        "set_experiment by id": lambda: mlflow.set_experiment(experiment_id="0"),
        "create_experiment": lambda: mlflow.create_experiment("mine"),
        "search_experiments": mlflow.search_experiments,
        "search_runs": lambda: mlflow.search_runs(experiment_ids=["0"]),
        "register_model": lambda: mlflow.register_model(f"runs:/{run_id}/model", "mine"),
        "registered with log_model": lambda: with_a_model(registered_model_name="mine"),
        "load_model of a registry": lambda: mlflow.pyfunc.load_model("models:/mine/1"),
        "search_registered_models": mlflow.search_registered_models,
        "delete_run": lambda: mlflow.delete_run(run_id),
        "delete_tag": lambda: (mlflow.set_tag("a", 1), mlflow.delete_tag("a")),
        "get_run": lambda: mlflow.get_run("0" * 32),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except mlflow.exceptions.MlflowException as error:
            said[name] = str(error)
        else:
            said[name] = "it was done"
    return said


@pipeline
def refusing() -> None:
    refused()


@step
def traced() -> int:
    for _ in range(2):
        with mlflow.start_span("kneading"):
            mlflow.log_metric("loss", 0.5)
    return 1


@pipeline
def tracing() -> None:
    traced()


@step
def addressed() -> Annotated[list[Any], "address"]:
    return [mlflow.get_tracking_uri(), mlflow.active_run() is None]


@pipeline
def asking() -> None:
    addressed()


@step
def elsewhere(uri: str) -> int:
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("by name"))
    client.log_metric(run.info.run_id, "loss", 0.5)
    return 1


@pipeline
def by_name(uri: str) -> None:
    elsewhere(uri)


autologging_is_on, others_have_fitted = threading.Event(), threading.Event()


def fit(max_iter: int) -> None:
    data, target = load_iris(return_X_y=True)
    LogisticRegression(max_iter=max_iter).fit(data, target)


@step
def fits_beside_others() -> int:
    mlflow.sklearn.autolog(silent=True, log_models=False)
    autologging_is_on.set()
    assert others_have_fitted.wait(60)
    fit(201)
    return 1


@step
def fits_plainly_meanwhile() -> int:
    assert autologging_is_on.wait(60)
    fit(203)
    mlflow.set_tag("fitted", "yes")
    others_have_fitted.set()
    return 1


@step
def fits_too() -> int:
    mlflow.sklearn.autolog(silent=True, log_models=False)
    fit(202)
    return 1


@pipeline
def fitting_at_once() -> None:
    fits_beside_others()
    fits_plainly_meanwhile()
    fits_too()


@step
def turns_it_on() -> int:
    mlflow.autolog(silent=True, log_models=False)
    fit(301)
    return 1


@step
def turns_it_off(after: int) -> int:
    mlflow.sklearn.autolog(disable=True)
    fit(302)
    return 1


@step
def leaves_it(after: int) -> int:
    fit(303)
    mlflow.set_tag("fitted", "yes")
    return 1


@pipeline
def autologging() -> None:
    leaves_it(turns_it_off(turns_it_on()))
