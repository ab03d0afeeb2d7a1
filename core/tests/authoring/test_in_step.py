"""What a step says while it runs is in its record, and says so where it has no meaning."""

from __future__ import annotations

from typing import Annotated

import pytest

from dovetail import (
    Client,
    Model,
    RunFailed,
    get_pipeline_context,
    get_step_context,
    load_artifact,
    log_artifact_metadata,
    log_metadata,
    log_metrics,
    log_model_metadata,
    log_params,
    pipeline,
    save_artifact,
    step,
)
from dovetail.errors import DefinitionError, NotFound


@step
def talkative(x: int) -> tuple[Annotated[int, "left"], Annotated[int, "right"]]:
    log_params({"depth": 3}, rate=0.1)
    log_metrics({"loss": 0.5}, step=1)
    log_metrics(loss=0.25, step=2)
    log_metadata({"rows": [1, 2]}, note="fine")
    log_artifact_metadata("left", {"unit": "km"})
    log_model_metadata(approved=True)
    save_artifact({"half": 0.5}, "by_hand", metadata={"why": "test"})
    context = get_step_context()
    assert context.parameters == {"x": 2}
    assert (context.step_name, context.pipeline_name, context.attempt) == ("talkative", "flow", 1)
    assert context.run.id == context.run_id
    assert context.run_name == context.run.name
    assert context.stack.orchestrator is not None
    assert context.tracker_url is None
    assert context.model is not None
    assert context.model.version == 1
    context.add_output_metadata({"side": "r"}, "right")
    return 1, 2


@pipeline(model=Model("talker", description="d", tags=("t",), metadata={"a": 1}))
def flow() -> None:
    assert get_pipeline_context().name == "flow"
    talkative(2)


def test_everything_that_is_logged_is_in_the_record() -> None:
    run = flow()
    done = run.steps["talkative"]
    assert done.params == {"depth": 3, "rate": 0.1}
    assert done.metrics == {"loss": 0.25}
    assert [(value, number) for value, number, _ in done.metric_history("loss")] == [(0.5, 1), (0.25, 2)]
    assert done.metadata == {"rows": [1, 2], "note": "fine"}
    assert done.outputs["left"].metadata["unit"] == "km"
    assert done.outputs["right"].metadata["side"] == "r"
    version = Client().get_model_version("talker")
    assert (version.description, version.tags, version.metadata) == ("d", ("t",), {"a": 1, "approved": True})
    assert version.metrics == {"loss": 0.25}
    assert load_artifact("by_hand") == {"half": 0.5}
    assert Client().get_artifact("by_hand").metadata["why"] == "test"
    with pytest.raises(NotFound, match="loss"):
        done.metric_history("los")


def test_an_artifact_is_saved_and_loaded_outside_of_steps() -> None:
    first, second = save_artifact([1], "numbers"), save_artifact([2], "numbers")
    assert (first.version, second.version) == (1, 2)
    assert load_artifact("numbers") == [2]
    assert load_artifact("numbers", 1) == [1]
    assert Client().get_artifact("numbers").producer is None


@pytest.mark.parametrize(
    "call", [get_step_context, get_pipeline_context, lambda: log_metrics(a=1), lambda: log_params(a=1), lambda: log_metadata(a=1), log_artifact_metadata]
)
def test_outside_a_step_it_says_where_it_has_a_meaning(call: object) -> None:
    with pytest.raises(RuntimeError, match="meaning only"):
        call()  # type: ignore[operator]


@step
def wrong(what: str) -> None:
    if what == "metric":
        log_metrics(a="high")  # type: ignore[arg-type]
    if what == "metadata":
        log_metadata(a=object())
    if what == "model":
        log_model_metadata(a=1)


@pipeline
def complaining(what: str) -> None:
    wrong(what)


@pytest.mark.parametrize(("what", "said"), [("metric", "A metric is a number"), ("metadata", "'a' cannot be recorded"), ("model", "works on no model")])
def test_what_cannot_be_recorded_fails_the_step_with_the_cure(what: str, said: str) -> None:
    with pytest.raises(RunFailed) as caught:
        complaining(what)
    assert isinstance(caught.value.__cause__, DefinitionError)
    assert said in str(caught.value.__cause__)


def test_a_run_whose_model_is_in_production_is_not_deleted() -> None:
    from dovetail.errors import ConfigurationError

    run = flow()
    client = Client()
    client.get_model_version("talker").promote("production")
    with pytest.raises(ConfigurationError, match="models promote talker 1 archived"):
        client.delete(run)
    client.get_model_version("talker").promote("archived")
    client.delete(run)
    assert client.list_runs() == []
    with pytest.raises(NotFound):
        client.get_model_version("talker")
