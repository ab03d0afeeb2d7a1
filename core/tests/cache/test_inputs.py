"""Which inputs make a step run again, and what turns caching off."""

from __future__ import annotations

from typing import Annotated

import pytest

from dovetail import Client, pipeline, step


def test_adjoining_texts_and_lookalike_values_are_different_keys() -> None:
    @step
    def f(a: object, b: object = None) -> str:
        return f"{a!r}{b!r}"

    @pipeline
    def p(kind: int) -> None:
        calls = [("1b", "2"), ("1", "b2"), (1, None), ("1", None), (1.0, None), (True, None), ([1], None), ((1,), None), (["1"], None), ({"1": 1}, None), ({1: 1}, None)]
        f(*calls[kind])

    first = [p(kind).steps["f"] for kind in range(11)]
    assert {found.status.value for found in first} == {"completed"}
    again = [p(kind).steps["f"] for kind in range(11)]
    assert {found.status.value for found in again} == {"cached"}
    assert [found.output.load() for found in again] == [found.output.load() for found in first]


def test_a_parameter_counts_as_its_annotation_types_it() -> None:
    @step
    def f(x: float) -> str:
        return repr(x)

    @pipeline
    def p(one: bool) -> None:
        f(1 if one else 1.0)

    assert p(True).steps["f"].output.load() == "1.0"
    assert p(False).steps["f"].status == "cached"


def test_an_input_counts_by_its_content_wherever_it_came_from() -> None:
    @step
    def one() -> dict:
        return {"a": 1}

    @step
    def another() -> dict:
        x = {"a": 1}
        return x

    @step
    def use(d: dict) -> int:
        return len(d)

    @pipeline
    def p() -> None:
        use(one())

    @pipeline
    def q() -> None:
        use(another())

    p()
    assert {name: found.status.value for name, found in q().steps.items()} == {"another": "completed", "use": "cached"}


def test_an_upstream_step_that_ran_again_and_gave_the_same_runs_nothing_that_follows() -> None:
    @step(enable_cache=False)
    def always() -> list[int]:
        return [1, 2]

    @step
    def use(x: list[int]) -> int:
        return sum(x)

    @step
    def last(x: int) -> int:
        return x

    @pipeline
    def p() -> None:
        last(use(always()))

    p()
    assert {name: found.status.value for name, found in p().steps.items()} == {"always": "completed", "use": "cached", "last": "cached"}


def test_caching_can_be_turned_off_and_on_by_step_pipeline_and_call() -> None:
    @step
    def plain() -> int:
        return 1

    @step(enable_cache=False)
    def never() -> int:
        return 2

    @step(enable_cache=True)
    def always() -> int:
        return 3

    def body() -> None:
        plain(), never(), always()

    on, off = pipeline(name="on")(body), pipeline(name="off", enable_cache=False)(body)

    def statuses(run):
        return {name: found.status.value for name, found in run.steps.items()}

    on()
    assert statuses(on()) == {"plain": "cached", "never": "completed", "always": "cached"}
    assert statuses(off()) == {"plain": "completed", "never": "completed", "always": "cached"}
    assert statuses(on.with_options(enable_cache=False)()) == {"plain": "completed", "never": "completed", "always": "completed"}
    assert statuses(off.with_options(enable_cache=True)()) == {"plain": "cached", "never": "completed", "always": "cached"}  # `never` left nothing
    assert statuses(off.with_options(enable_cache=True)()) == {"plain": "cached", "never": "cached", "always": "cached"}


def test_a_step_with_caching_off_leaves_nothing_to_be_taken() -> None:
    count: list[int] = []

    def body(x: int) -> int:
        return x

    @pipeline
    def p(off: bool) -> None:
        step(name="s", enable_cache=not off)(body)(1)

    assert p(off=True).steps["s"].status == "completed"
    assert p(off=False).steps["s"].status == "completed"
    assert p(off=False).steps["s"].status == "cached"
    assert count == []


@pytest.mark.parametrize("key", ["v1", 3, ["a", 1], {"a": 1}])
def test_a_cache_key_is_counted_besides_code_and_inputs(key) -> None:
    def body(x: int) -> int:
        return x

    def made(value):
        @pipeline
        def p(x: int = 1) -> None:
            step(name="s", cache_key=value)(body)(x)

        return p

    assert made(key)().steps["s"].status == "completed"
    assert made(key)().steps["s"].status == "cached"
    assert made("another")().steps["s"].status == "completed"
    assert made(key)(x=2).steps["s"].status == "completed"


def test_a_cache_key_may_be_computed_from_the_steps_parameters() -> None:
    seen: list[object] = []

    def key(x, day):
        seen.append((x, day))
        return day // 10

    @step(cache_key=key)
    def f(x: int, day: int) -> int:
        return x

    @pipeline
    def p(x: int, day: int) -> None:
        f(x, day)

    assert p(1, 20).steps["f"].status == "completed"
    assert p(1, 20).steps["f"].status == "cached"
    assert p(1, 31).steps["f"].status == "completed"
    assert (1, 20) in seen


def test_a_result_of_another_pipeline_is_taken_where_the_step_and_its_inputs_are_the_same() -> None:
    @step
    def shared(x: int) -> int:
        return x

    @pipeline
    def one() -> None:
        shared(1)

    @pipeline
    def two() -> None:
        shared(1)

    one()
    run = two()
    assert run.steps["shared"].status == "cached"
    assert run.steps["shared"].why.startswith("taken from run one-")
    assert run.steps["shared"].output.producer.run.pipeline == "one"
    assert (run.steps["shared"].output.name, run.steps["shared"].output.version) == ("two.shared.output", 1)
    assert Client().get_artifact("two.shared.output").load() == 1


def test_a_cached_output_whose_name_is_filled_differently_is_there_under_that_name() -> None:
    @step
    def report() -> Annotated[list, "report-{of}"]:
        return [1]

    @pipeline
    def p() -> None:
        report()

    p.with_options(substitutions={"of": "monday"})()
    run = p.with_options(substitutions={"of": "tuesday"})()
    assert run.status == "cached"
    assert Client().get_artifact("report-tuesday").load() == [1]
    assert p.with_options(substitutions={"of": "tuesday"})().steps["report"].output.version == 1
    assert [found.version for found in Client().list_artifacts("report-tuesday")] == [1]


def test_a_result_of_a_run_that_was_deleted_is_taken_under_a_version_that_counts() -> None:
    @step
    def one() -> Annotated[list, "ones"]:
        return [1]

    @pipeline
    def p() -> None:
        one()

    client = Client()
    client.delete(p())
    again = p()
    if again.status == "cached":
        assert again.steps["one"].outputs["ones"].version == 2
    assert [found.version for found in Client().list_artifacts("ones")] == [2]
    assert Client().get_artifact("ones").load() == [1]


def test_a_failed_step_is_never_taken_from_the_cache() -> None:
    from dovetail import RunFailed

    fail = [True]

    @step(cache_key="same")
    def shaky(x: int) -> int:
        if fails():
            raise ValueError("no")
        return x

    def fails() -> bool:
        return bool(__import__("os").environ.get("SHAKY"))

    @pipeline
    def p() -> None:
        shaky(1)

    import os

    os.environ["SHAKY"] = "1"
    try:
        with pytest.raises(RunFailed):
            p()
    finally:
        del os.environ["SHAKY"]
    assert p().status == "completed"
    assert p().status == "cached"
    assert fail == [True]


def test_a_plan_says_what_would_run_and_why_and_runs_nothing(store_root) -> None:
    @step
    def first() -> int:
        return 1

    @step
    def second(x: int) -> int:
        return x

    @pipeline
    def p() -> None:
        second(first())

    plan = p.plan()
    assert [(found.invocation, found.decision.value) for found in plan.steps] == [("first", "run"), ("second", "later")]
    assert plan.step("first").why == "no earlier result for this code and these inputs"
    assert not (store_root / "runs").exists()
    p()
    assert [found.decision.value for found in p.plan().steps] == ["cached", "cached"]
    assert "nothing that it depends on changed since run p-" in p.plan().step("second").why


def test_a_fully_cached_run_submits_nothing(install_plugin, apply_stack) -> None:
    install_plugin("counting", """
        from dovetail.components import Capability, Orchestrator
        from dovetail.plugin import FlavorSpec, hookimpl

        SUBMITTED = []

        class Counting(Orchestrator):
            capabilities = frozenset(Capability) - {Capability.REMOTE}
            def submit(self, plan, run):
                SUBMITTED.append(plan.run_id)
                run.drive(lambda task: task.run_here(), slots=1)

        @hookimpl
        def dovetail_orchestrators():
            return [FlavorSpec("counting", "counting:Counting")]
    """)
    apply_stack("counted", orchestrator=("counting", "c", {}))

    @step
    def first() -> int:
        return 1

    @step
    def second(x: int) -> int:
        return x

    @pipeline
    def p() -> None:
        second(first())

    assert p.with_options(stack="counted")().status == "completed"
    import counting

    assert len(counting.SUBMITTED) == 1
    assert p.with_options(stack="counted")().status == "cached"
    assert len(counting.SUBMITTED) == 1


def test_a_result_whose_artifact_was_deleted_or_damaged_is_not_taken(store_root) -> None:
    import shutil

    @step
    def first() -> list:
        return [1, 2]

    @pipeline
    def p() -> None:
        first()

    run = p()
    shutil.rmtree(store_root / "artifacts" / run.steps["first"].output.digest)
    assert p().status == "completed"
    assert p().status == "cached"


def test_cached_steps_are_mirrored_to_the_tracker_marked_cached(install_plugin, apply_stack) -> None:
    from dovetail import log_metrics, log_params

    install_plugin("listening", """
        from dovetail.components import ExperimentTracker
        from dovetail.plugin import FlavorSpec, hookimpl

        HEARD = []

        class Listening(ExperimentTracker):
            def start(self, step_run): HEARD.append(("start", step_run.name, step_run.status))
            def log_params(self, params): HEARD.append(("params", dict(params)))
            def log_metrics(self, metrics, step): HEARD.append(("metrics", dict(metrics), step))
            def finish(self, step_run): HEARD.append(("finish", step_run.name, step_run.status))

        @hookimpl
        def dovetail_experiment_trackers():
            return [FlavorSpec("listening", "listening:Listening")]
    """)
    apply_stack("tracked", experiment_tracker=("listening", "l", {}))

    @step
    def logs() -> int:
        log_params(lr=0.5)
        log_metrics(loss=2.0, step=1)
        log_metrics(loss=1.0, step=2)
        return 1

    @pipeline
    def p() -> None:
        logs()

    p.with_options(stack="tracked")()
    import listening

    told = [("params", {"lr": 0.5}), ("metrics", {"loss": 2.0}, 1), ("metrics", {"loss": 1.0}, 2)]
    assert listening.HEARD == [("start", "logs", None), *told, ("finish", "logs", "completed")]
    listening.HEARD.clear()
    run = p.with_options(stack="tracked")()
    assert listening.HEARD[0][:2] == ("start", "logs")
    assert listening.HEARD[1:] == [*told, ("finish", "logs", "cached")]
    assert (run.steps["logs"].params, run.steps["logs"].metrics) == ({"lr": 0.5}, {"loss": 1.0})


def test_one_call_of_a_step_is_taken_for_another_in_the_same_run_once_it_is_there() -> None:
    @step
    def same(x: int) -> int:
        return x

    @step
    def gate(x: int) -> int:
        return x * 0

    @pipeline
    def p() -> None:
        first = same(1)
        same(1, after=[first])

    run = p()
    assert [found.status.value for found in run.steps.values()] in (["completed", "cached"], ["completed", "completed"])
    assert [found.output.load() for found in run.steps.values()] == [1, 1]
    assert gate(3) == 0
