"""A model is used by its stage in another pipeline; the plan pins which version that was."""

from __future__ import annotations

import time
from typing import Annotated

import pytest

from dovetail import Client, Model, Schedule, get_step_context, log_metrics, pipeline, step
from dovetail.errors import NotFound
from dovetail.execution.scheduled import _of_tick
from dovetail.ledger import layout
from dovetail.values.plan import Plan, describe


@step
def train(weight: int) -> Annotated[dict, "trained_model"]:
    log_metrics(weight=weight)
    return {"weight": weight}


@pipeline(model=Model("m"))
def training(weight: int):
    train(weight)


@step
def predict(model: dict, value: int) -> int:
    return model["weight"] * value


@pipeline
def predicting(value: int = 10):
    predict(Model("m", version="production").load_artifact("trained_model"), value)


@step
def inside(value: int) -> int:
    return Model("m", version="production").load_artifact("trained_model")["weight"] * value


@step(model=Model("m", version="production"))
def by_context(value: int) -> int:
    used = get_step_context().model
    return used.load_artifact("trained_model")["weight"] * value


@pipeline
def predicting_inside(value: int = 10):
    inside(value)


@pipeline
def predicting_by_context(value: int = 10):
    by_context(value)


@pytest.fixture
def two() -> None:
    training(2)
    training(3)
    Client().get_model_version("m", 1).promote("production")


@pytest.mark.parametrize("use", [predicting, predicting_inside, predicting_by_context])
def test_a_stage_is_used_and_another_version_in_it_runs_the_step_again(two: None, use) -> None:
    def result():
        run = use()
        (found,) = run.steps.values()
        return found.status.value, found.output.load()

    assert [result(), result()] == [("completed", 20), ("cached", 20)]
    Client().get_model_version("m", 2).promote("production")
    assert [result(), result()] == [("completed", 30), ("cached", 30)]
    Client().get_model_version("m", 1).promote("production")
    assert result() == ("cached", 20)


@pytest.mark.parametrize("use", [predicting, predicting_by_context])
def test_the_plan_says_which_version_it_was(two: None, use) -> None:
    plan = use.plan()
    assert plan.pins == {"m@production": 1}
    assert "Model 'm' in production is version 1." in describe(plan)
    run = use()
    assert run.header["pins"] == {"m@production": 1}
    assert [user.id for user in Client().get_model_version("m", 1).users] == [run.id]


def test_all_steps_of_a_run_see_the_version_that_was_pinned(two: None) -> None:
    @step(enable_cache=False)
    def promotes() -> int:
        Client().get_model_version("m", 2).promote("production")
        return Client().get_model_version("m", "production").version  # who asks the client asks what is so now

    @step(model=Model("m", version="production"), enable_cache=False)
    def afterwards(_: int) -> tuple[Annotated[int, "by_context"], Annotated[int, "by_model"]]:
        return get_step_context().model.version, Model("m", version="production").number

    @pipeline
    def p():
        afterwards(promotes())

    steps = p().steps
    assert steps["promotes"].output.load() == 2
    assert {name: output.load() for name, output in steps["afterwards"].outputs.items()} == {"by_context": 1, "by_model": 1}


def test_a_run_may_claim_a_version_and_use_another_of_the_same_model(two: None) -> None:
    @step(model=Model("m", version="production"))
    def champion() -> int:
        return get_step_context().model.version

    @step
    def challenger() -> int:
        return get_step_context().model.version

    @pipeline(model=Model("m"))
    def contest():
        champion()
        challenger()

    run = contest()
    assert {name: found.output.load() for name, found in run.steps.items()} == {"champion": 1, "challenger": 3}
    assert run.models == {"m": 3}


def test_the_lineage_of_what_was_used_leads_to_the_run_that_made_it(two: None) -> None:
    used = predicting().steps["predict"].inputs["model"]
    assert used.producer.run.pipeline == "training"
    assert (used.name, used.version) == ("trained_model", 1)


@pytest.mark.parametrize(
    ("model", "artifact", "complaint"),
    [
        (Model("m", version="staging"), "trained_model", "dovetail models promote m 2 staging"),
        (Model("n", version="production"), "trained_model", "There is no model 'n'"),
        (Model("m", version="production"), "trained", "There is no artifact of version 1 of model 'm' 'trained'. Did you mean 'trained_model'"),
        (Model("m", version=9), "trained_model", "There is no version of model 'm' '9'"),
    ],
)
def test_what_is_not_there_is_said_before_anything_runs(two: None, model: Model, artifact: str, complaint: str) -> None:
    @pipeline
    def wrong():
        predict(model.load_artifact(artifact), 1)

    before = len(Client().list_runs(limit=None))
    with pytest.raises(NotFound) as error:
        wrong()
    assert complaint in str(error.value)
    assert len(Client().list_runs(limit=None)) == before


def test_outside_a_run_a_model_is_read_as_it_is_now(two: None) -> None:
    model = Model("m", version="production")
    assert (model.number, model.load_artifact("trained_model"), dict(model.metrics)) == (1, {"weight": 2}, {"weight": 2.0})
    assert Model("m").number == 2
    assert model.get_artifact("trained_model").version == 1


SCHEDULED = """
    from typing import Annotated
    from dovetail import Model, pipeline, step

    @step
    def train(weight: int) -> Annotated[dict, "trained_model"]:
        return {"weight": weight}

    @pipeline(model=Model("n"))
    def training(weight: int):
        train(weight)

    @step
    def predict(model: dict, value: int) -> int:
        return model["weight"] * value

    @pipeline
    def predicting(value: int = 10):
        predict(Model("n", version="production").load_artifact("trained_model"), value)
"""


def test_each_run_of_a_schedule_uses_what_is_in_production_then(make_module) -> None:
    flow = make_module(SCHEDULED)
    flow.training(2)
    Client().get_model_version("n", 1).promote("production")
    flow.predicting.schedule(Schedule("0 3 1 * *"))
    flow.training(3)
    Client().get_model_version("n", 2).promote("production")
    record = next(Client().ledger.records.newest(layout.schedules("predicting")))[1]
    claim = {"run": layout.new_run_id(), "at": time.time(), "due": time.time()}
    plan = _of_tick(Plan.from_json(record["plan"]), record, claim, Client().ledger)
    assert plan.pins == {"n@production": 2}
    (given,) = [step.node.inputs["model"] for step in plan.steps]
    assert given["artifact"] == Client().get_model_version("n", 2).get_artifact("trained_model").digest
