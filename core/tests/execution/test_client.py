"""Every question that the client answers, asked of real runs."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated, Tuple

import pytest

from dovetail import (
    Client, Model, ModelStage, RunFailed, get_pipeline_context, get_step_context, load_artifact, log_artifact_metadata, log_metadata, log_metrics,
    log_model_metadata, log_params, pipeline, save_artifact, step,
)  # fmt: skip
from dovetail.errors import ConfigurationError, DefinitionError, NotFound


@step
def load(rows: int) -> list[int]:
    """Data."""
    log_metadata({"source": "made up"}, rows=rows)
    return list(range(rows))


@step
def train(data: list[int], lr: float = 0.1) -> Tuple[Annotated[dict, "trained_model"], Annotated[float, "score"]]:
    log_params({"lr": lr}, depth=3)
    for epoch in range(3):
        log_metrics(loss=1.0 / (epoch + 1), step=epoch)
    log_metrics({"auc": 0.9})
    log_artifact_metadata("trained_model", {"kind": "linear"})
    log_model_metadata(trained_on=len(data))
    print("training")
    return {"w": lr}, 0.9


@step
def report(model: dict, score: float, both: list) -> str:
    return f"{model} {score} {both}"


@pipeline(model=Model("predictor", description="Predicts."), tags=("nightly",))
def training(rows: int = 4, lr: float = 0.1) -> None:
    model, score = train(load(rows), lr)
    report(model, score, [score, model])


@step
def broken() -> int:
    raise ValueError("on purpose")


@pipeline
def failing() -> None:
    broken()


@pytest.fixture
def run():
    return training()


@pytest.fixture
def client(run) -> Client:
    return Client()


def test_a_run_tells_what_it_was(run) -> None:
    assert (run.status, run.pipeline, run.stack, run.tags, run.parameters) == ("completed", "training", "default", ("nightly",), {"rows": 4, "lr": 0.1})
    assert run.name.startswith("training-") and len(run.id) == 26
    assert run.created.tzinfo is not None and run.created <= run.ended
    assert 0 < run.seconds < 60
    assert run.error is None and run.resumes is None
    assert list(run.steps) == ["load", "train", "report"]
    assert run.models == {"predictor": 1}
    assert str(run.plan.steps[0].decision) in ("run", "Decision.RUN")


def test_a_step_run_tells_what_it_was_given_gave_and_logged(run) -> None:
    found = run.steps["train"]
    assert (found.status, found.attempts, found.error) == ("completed", 1, None)
    assert found.params == {"lr": 0.1, "depth": 3}
    assert found.metrics == {"loss": pytest.approx(1 / 3), "auc": 0.9}
    history = found.metric_history("loss")
    assert [(value, step) for value, step, _ in history] == [(1.0, 0), (0.5, 1), (pytest.approx(1 / 3), 2)]
    assert all(isinstance(at, dt.datetime) for _, _, at in history)
    assert found.parameters == {"lr": 0.1}
    assert found.inputs["data"].load() == [0, 1, 2, 3] and found.inputs["lr"] == 0.1
    assert found.log() == "training\n"
    assert found.seconds >= 0
    assert run.steps["load"].metadata == {"source": "made up", "rows": 4}
    assert [item.load() for item in run.steps["report"].inputs["both"]] == [0.9, {"w": 0.1}]
    with pytest.raises(NotFound, match="no metric 'los'. Did you mean 'loss'"):
        found.metric_history("los")


def test_an_artifact_tells_its_value_content_version_producer_and_consumers(run) -> None:
    artifact = run.steps["train"].outputs["trained_model"]
    assert artifact.load() == {"w": 0.1}
    assert (artifact.name, artifact.version, artifact.type) == ("trained_model", 1, "builtins:dict")
    assert len(artifact.digest) == 64 and artifact.size > 0
    assert Path(artifact.uri).is_dir() and artifact.path == Path(artifact.uri)
    assert artifact.metadata["kind"] == "linear"
    assert (artifact.producer.name, artifact.producer.run.id) == ("train", run.id)
    assert [(found.run.id, found.name) for found in artifact.consumers] == [(run.id, "report")]
    assert run.steps["load"].output.name == "training.load.output"
    assert [found.name for found in run.steps["load"].output.consumers] == ["train"]


def test_missing_names_are_answered_with_near_ones(run, client) -> None:
    for ask, near in (
        (lambda: run.steps["trian"], "train"), (lambda: run.steps["train"].outputs["trained_modle"], "trained_model"),
        (lambda: client.get_artifact("scor"), "score"), (lambda: client.get_pipeline("trainin"), "training"), (lambda: client.get_model("predicter"), "predictor"),
        (lambda: client.get_stack("defalt"), "default"),
    ):  # fmt: skip
        with pytest.raises(NotFound, match=f"Did you mean '{near}'"):
            ask()
    with pytest.raises(KeyError):
        run.steps["nothing like it"]
    assert "train" in run.steps and "trian" not in run.steps


def test_runs_are_found_by_id_beginning_and_name(run, client) -> None:
    assert client.get_run(run.id).id == run.id
    assert client.get_run(run.name).id == run.id
    assert client.get_run(run.id[:25]).id == run.id
    other = training.with_options(run_name="named by hand")()
    assert client.get_run("named by hand").id == other.id
    again = training.with_options(run_name="named by hand")()
    assert client.get_run("named by hand").id == again.id
    with pytest.raises(NotFound, match="3 do; give more characters"):
        client.get_run(run.id[:4])
    with pytest.raises(NotFound, match="no run 'zzz'"):
        client.get_run("zzz")


def test_runs_are_listed_newest_first_and_narrowed_by_every_filter(run, apply_stack, isolated, store_root) -> None:
    apply_stack("other", artifact_store=("local", "same", {"path": str(store_root)}))
    with pytest.raises(RunFailed):
        failing()
    third = training.with_options(stack="other", tags=("special",))(rows=9)
    client = Client()
    assert [found.pipeline for found in client.list_runs()] == ["training", "failing", "training"]
    assert [found.id for found in client.list_runs(limit=1)] == [third.id]
    assert [found.pipeline for found in client.list_runs(status="failed")] == ["failing"]
    assert [found.id for found in client.list_runs(pipeline="training", stack="default")] == [run.id]
    assert [found.id for found in client.list_runs(tag="special")] == [third.id]
    assert [found.id for found in client.list_runs(tag="nightly")] == [third.id, run.id]
    assert [found.id for found in client.list_runs(since=third.created)] == [third.id]
    assert client.list_runs(since=dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)) == []


def test_a_pipeline_knows_its_runs(run, client) -> None:
    with pytest.raises(RunFailed):
        failing()
    again = training()
    known = client.get_pipeline("training")
    assert [found.id for found in known.runs] == [again.id, run.id]
    assert (known.last_run.id, known.last_successful_run.id) == (again.id, again.id)
    assert client.get_pipeline("failing").last_successful_run is None
    assert client.list_pipelines() == ["failing", "training"]


def test_artifacts_are_found_by_name_and_version(run, client) -> None:
    training(lr=0.5)
    assert client.get_artifact("trained_model").load() == {"w": 0.5}
    assert client.get_artifact("trained_model", 1).load() == {"w": 0.1}
    assert [found.version for found in client.list_artifacts("trained_model")] == [2, 1]
    assert {found.name for found in client.list_artifacts()} == {"trained_model", "score", "training.load.output", "training.report.output"}
    with pytest.raises(NotFound, match="version of artifact 'trained_model' '7'"):
        client.get_artifact("trained_model", 7)


def test_a_model_version_tells_its_run_artifacts_metrics_and_metadata(run, client) -> None:
    version = client.get_model_version("predictor")
    assert (version.version, version.stage, version.run.id, version.description) == (1, "none", run.id, "Predicts.")
    assert {"trained_model", "score"} <= set(version.artifacts)
    assert version.load_artifact("trained_model") == {"w": 0.1}
    assert version.metrics["auc"] == 0.9
    assert version.metadata["trained_on"] == 4
    assert client.list_models() == ["predictor"]
    assert client.get_model("predictor").latest.version == 1


def test_stages_are_exclusive_and_answer_queries(run, client) -> None:
    training(lr=0.7)
    first, second = client.get_model_version("predictor", 1), client.get_model_version("predictor", 2)
    first.promote("production")
    assert client.get_model_version("predictor", "production").version == 1
    second.promote(ModelStage.PRODUCTION, reason="better")
    assert client.get_model_version("predictor", ModelStage.PRODUCTION).version == 2
    assert (first.stage, second.stage) == ("archived", "production")
    with pytest.raises(ConfigurationError, match="no stage of a model. Did you mean 'production'"):
        first.promote("prodution")
    with pytest.raises(NotFound, match="dovetail models promote predictor 2 staging"):
        client.get_model_version("predictor", "staging")


def test_a_fully_cached_run_claims_no_model_version(run, client) -> None:
    again = training()
    assert (again.status, again.models) == ("cached", {})
    assert [found.version for found in client.get_model("predictor").versions] == [1]


def test_tags_and_metadata_can_be_added_later(run, client) -> None:
    client.tag(run, "kept", "reviewed")
    assert Client().get_run(run.id).tags == ("nightly", "kept", "reviewed")
    assert [found.id for found in Client().list_runs(tag="reviewed")] == [run.id]


def test_a_deleted_run_is_gone_from_every_answer(run, client) -> None:
    again = training(lr=0.2)
    client.delete(run)
    fresh = Client()
    assert [found.id for found in fresh.list_runs()] == [again.id]
    with pytest.raises(NotFound):
        fresh.get_run(run.id)
    with pytest.raises(NotFound):
        fresh.get_artifact("trained_model", 1)
    assert fresh.get_artifact("trained_model").version == 2
    assert training(lr=0.2).status == "cached"


def test_stacks_are_seen_by_name_with_none_where_a_component_is_absent(run, client, apply_stack, isolated) -> None:
    stack = client.active_stack
    assert (stack.name, stack.orchestrator.flavor, stack.artifact_store.flavor) == ("default", "local", "local")
    for absent in ("experiment_tracker", "container_registry", "step_operator", "image_builder", "data_validator", "feature_store", "alerter", "model_registry"):
        assert getattr(stack, absent) is None
    with pytest.raises(AttributeError, match="component types are"):
        stack.telescope
    apply_stack("tracked", experiment_tracker=("local", "lines", {"path": str(isolated / "t")}))
    assert client.list_stacks() == ["default", "tracked"]
    assert client.get_stack("tracked").experiment_tracker.name == "lines"


def test_waiting_for_a_run_that_has_ended_returns_at_once(run, client) -> None:
    assert client.wait(run.id).id == run.id


def test_artifacts_can_be_saved_and_loaded_outside_a_run_and_inside() -> None:
    saved = save_artifact({"k": 1}, "by-hand", metadata={"who": "me"})
    assert (saved.version, saved.producer) == (1, None)
    assert load_artifact("by-hand") == {"k": 1}
    assert Client().get_artifact("by-hand").metadata["who"] == "me"

    @step
    def saves() -> int:
        save_artifact([1, 2], "in-step")
        return len(load_artifact("by-hand"))

    @pipeline
    def p() -> None:
        saves()

    run = p()
    assert run.steps["saves"].output.load() == 1
    assert load_artifact("in-step") == [1, 2]
    assert Client().get_artifact("in-step").producer.name == "saves"


def test_the_step_context_knows_run_step_parameters_model_and_stack() -> None:
    seen: list[object] = []

    @step
    def asks(x: int, path: Path) -> int:
        context = get_step_context()
        seen.extend([context.run_id, context.run_name, context.pipeline_name, context.step_name, context.parameters, context.attempt])
        seen.extend([context.model.version, context.stack.name, context.run.status])
        context.add_output_metadata({"noted": True})
        return x

    @pipeline(model=Model("m"))
    def p() -> None:
        seen.append(get_pipeline_context().name)
        asks(3, Path("a/b"))

    run = p()
    assert seen == ["p", run.id, run.name, "p", "asks", {"x": 3, "path": Path("a/b")}, 1, 1, "default", "running"]
    assert run.steps["asks"].output.metadata["noted"] is True


def test_what_has_a_meaning_only_in_a_step_says_so_elsewhere() -> None:
    for call in (get_step_context, lambda: log_metrics(a=1.0), lambda: log_params(a=1), lambda: log_metadata(a=1), lambda: log_model_metadata(a=1)):
        with pytest.raises(RuntimeError, match="only while a step of a run is executing"):
            call()
    with pytest.raises(RuntimeError, match="only inside a pipeline function"):
        get_pipeline_context()


def test_what_cannot_be_logged_is_refused_by_name() -> None:
    for call, message in (
        (lambda: log_metrics(acc="high"), "A metric is a number"),
        (lambda: log_params(model=object()), "The parameter 'model' cannot be recorded"),
        (lambda: log_model_metadata(a=1), "works on no model"),
    ):

        @step
        def logs() -> int:
            call()
            return 1

        @pipeline
        def p() -> None:
            logs()

        with pytest.raises(RunFailed, match=message) as failed:
            p()
        assert isinstance(failed.value.__cause__, DefinitionError)


def test_facts_of_a_run_are_read_without_its_plugins(install_plugin, apply_stack, monkeypatch, isolated, programs) -> None:
    install_plugin("gonesoon", """
        from dovetail.components import ExperimentTracker
        from dovetail.plugin import FlavorSpec, hookimpl

        class Tracker(ExperimentTracker):
            def start(self, step_run): ...
            def log_params(self, params): ...
            def log_metrics(self, metrics, step): ...
            def finish(self, step_run): ...

        @hookimpl
        def dovetail_experiment_trackers():
            return [FlavorSpec("gonesoon", "gonesoon:Tracker")]
    """)
    apply_stack("tracked", experiment_tracker=("gonesoon", "g", {}))
    run = training.with_options(stack="tracked")()
    monkeypatch.setenv("PYTHONPATH", "")
    told = programs.run("-c", f"""if True:
        from dovetail import Client
        run = Client(stack="default").get_run({run.id!r})
        print(run.status.value, run.steps["train"].metrics["auc"], run.steps["train"].outputs["trained_model"].load())
    """)
    assert told == "completed 0.9 {'w': 0.1}\n"


def test_the_user_folder_is_the_only_place_that_a_run_writes_to(run, isolated) -> None:
    assert sorted(os.listdir(isolated)) in (["project", "user"], ["cache", "project", "user"])
    assert list((isolated / "project").iterdir()) == []
