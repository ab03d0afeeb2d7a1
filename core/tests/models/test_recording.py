"""What is said of a model is kept with its version, and what used a version is known, whichever way it was named."""

from __future__ import annotations

import pytest

from dovetail import Client, Model, PromotionPolicy, PromotionRefused, RunFailed, log_model_metadata, pipeline, step
from dovetail.errors import DefinitionError


@step
def train(weight: int) -> dict:
    log_model_metadata(trained_by="hand")
    return {"weight": weight}


def test_a_policy_is_kept_whatever_the_name_is_made_of() -> None:
    @pipeline(model=Model("m-{color}", description="red", promotion={"production": PromotionPolicy("weight > 10")}), substitutions={"color": "red"})
    def painting():
        train(1)

    painting()
    made = Client().get_model_version("m-red")
    assert made.description == "red"
    with pytest.raises(PromotionRefused, match="no metric 'weight'"):
        made.promote("production")


def test_what_a_step_says_of_the_model_holds_beside_what_the_pipeline_says() -> None:
    strict = train.with_options(model=Model("m", license="MIT", promotion={"production": PromotionPolicy(approvals=1)}))

    @pipeline(model=Model("m", description="weights", promotion={"production": PromotionPolicy("weight > 10")}))
    def weighing():
        strict(1)

    weighing()
    made = Client().get_model_version("m")
    assert (made.description, made.license) == ("weights", "MIT")
    with pytest.raises(PromotionRefused) as refused:
        made.promote("production")
    assert "no metric 'weight'" in str(refused.value)
    assert "0 of the 1 approvals" in str(refused.value)


def test_facts_of_a_model_are_those_of_a_version_whose_step_was_cached_too() -> None:
    @step(enable_cache=False)
    def always() -> int:
        return 1

    @pipeline(model=Model("m"))
    def weighing():
        train(1)
        always()

    assert [weighing().steps["train"].status.value for _ in range(2)] == ["completed", "cached"]
    assert [version.metadata for version in Client().get_model("m").versions] == [{"trained_by": "hand"}] * 2


def test_runs_whose_steps_asked_by_themselves_are_among_the_users() -> None:
    @pipeline(model=Model("m"))
    def weighing():
        train(1)

    @step
    def asks() -> int:
        return Client().get_model_version("m", "production").version + Model("m").number

    @pipeline
    def asking():
        asks()

    made_by = weighing()
    made = Client().get_model_version("m").promote("production")
    run = asking()
    assert [user.id for user in made.users] == [run.id]
    assert made_by.id not in {user.id for user in made.users}


TWICE = """
    from pathlib import Path
    from dovetail import Model, pipeline, step

    @step
    def train(weight: int) -> dict:
        return {"weight": weight}

    @pipeline(model=Model("m"))
    def weighing(weight: int):
        train(weight)

    IN_USE = Model("m", version="production")

    @step(model=IN_USE)
    def first() -> int:
        return IN_USE.number

    @step(model=IN_USE)
    def second(_: int, place: str) -> int:
        if not Path(place).exists():
            raise ValueError("not yet")
        return IN_USE.number

    @pipeline
    def using_twice(place: str):
        second(first(), place)
"""


def test_a_resumed_run_sees_the_versions_that_the_first_one_saw(make_module, tmp_path) -> None:
    flow = make_module(TWICE)
    flow.weighing(1)
    flow.weighing(2)
    Client().get_model_version("m", 1).promote("production")
    with pytest.raises(RunFailed, match="not yet"):
        flow.using_twice(str(tmp_path / "ready"))
    old = Client().list_runs(pipeline="using_twice")[0]
    Client().get_model_version("m", 2).promote("production")
    (tmp_path / "ready").touch()
    new = Client().resume(old)
    assert [new.steps[name].output.load() for name in ("first", "second")] == [1, 1]
    assert new.header["pins"] == {"m@production": 1}


def test_a_schedule_that_is_none_is_said() -> None:
    with pytest.raises(DefinitionError, match="schedule\\(\\) takes a Schedule, not '0 3"):
        pipeline(lambda: None, name="nothing").schedule("0 3 * * *")
