"""What waits for what: data, `after`, and names of steps; and everything that is wrong, told at once."""

from __future__ import annotations

import threading
import time

import pytest

from dovetail import Client, pipeline, step
from dovetail.errors import GraphError, PreflightFailed

done: list[str] = []


@step(enable_cache=False)
def note(name: str, seconds: float = 0.0) -> str:
    time.sleep(seconds)
    done.append(name)
    return name


@step
def take_int(x: int) -> int:
    return x


@step
def give_text() -> str:
    return "text"


def test_after_waits_for_outputs_and_for_steps_by_name_wherever_it_is_given() -> None:
    done.clear()

    @pipeline
    def p() -> None:
        first = note("first", 0.1)
        note.with_options(after=[first])("by option")
        note("by call", after=first)
        note("by name", after=["note"])
        note("last", after=["note_2", "note_3", "note_4"])

    p()
    assert done[0] == "first" and done[-1] == "last"
    assert sorted(done[1:-1]) == ["by call", "by name", "by option"]


def test_after_may_name_a_step_that_is_called_later() -> None:
    done.clear()

    @pipeline
    def p() -> None:
        note("second", after=["earlier"])
        note("first", id="earlier")

    p()
    assert done == ["first", "second"]


def test_a_step_that_returns_nothing_can_be_waited_for() -> None:
    done.clear()

    @step
    def nothing() -> None:
        time.sleep(0.05)
        done.append("nothing")

    @pipeline
    def p() -> None:
        waited = nothing()
        note("after", after=[waited])

    run = p()
    assert done == ["nothing", "after"]
    assert dict(run.steps["nothing"].outputs) == {}


def test_a_parameter_called_after_or_id_is_the_functions_own() -> None:
    @step
    def own(after: str, id: int) -> str:
        return f"{after}{id}"

    @pipeline
    def p() -> None:
        own(after="x", id=3)

    assert p().steps["own"].output.load() == "x3"


def test_everything_that_is_wrong_with_a_pipeline_is_told_at_once_and_nothing_runs(store_root) -> None:
    @pipeline
    def p() -> None:
        take_int("text")  # a wrong type
        take_int(give_text())  # an incompatible output
        take_int()  # a missing parameter
        take_int(x=1, y=2)  # an unknown one
        take_int(1, after=["nowhere"])  # an unknown step
        take_int(1, id="same")
        take_int(2, id="same")  # one id twice
        take_int(1, id="circle_a", after=["circle_b"])
        take_int(1, id="circle_b", after=["circle_a"])

    with pytest.raises(GraphError) as refused:
        p()
    problems = refused.value.problems
    for wanted in (
        "parameter 'x', is annotated int and was given 'text'",
        "was given the output 'output' of step 'give_text', which is str",
        "is missing its parameter 'x'",
        "has no parameter 'y'",
        "waits for 'nowhere', which is no step",
        "two steps have the id 'same'",
        "wait for each other in a circle: circle_a, circle_b",
    ):
        assert any(wanted in problem for problem in problems), (wanted, problems)
    assert not (store_root / "runs").exists()


def test_everything_that_a_stack_cannot_do_is_told_at_once_and_nothing_runs(store_root) -> None:
    from dovetail import Environment, Resources

    @step(experiment_tracker=True)
    def tracked() -> int:
        return 1

    @step(experiment_tracker="wandb")
    def named() -> int:
        return 1

    @step(environment=Environment(image="python:3.12"))
    def built() -> int:
        return 1

    @step(resources=Resources(gpu=2))
    def heavy() -> int:
        return 1

    @step(step_operator=True)
    def operated() -> int:
        return 1

    @pipeline
    def p() -> None:
        for each in (tracked, named, built, heavy, operated):
            each()

    with pytest.raises(PreflightFailed) as refused:
        p()
    problems = refused.value.problems
    assert len(problems) == 5
    assert [name for problem in problems for name in ("tracked", "named", "built", "heavy", "operated") if f"Step '{name}'" in problem] == [
        "tracked", "named", "built", "heavy", "operated",
    ]  # fmt: skip
    assert all("dovetail stack register" in problem or "waive" in problem for problem in problems)
    assert not list((store_root / "runs").glob("*/*"))
    assert Client().list_runs() == []


def test_a_wide_pipeline_runs_each_step_once() -> None:
    done.clear()

    @pipeline
    def p() -> None:
        note("join", after=[note(f"n{number}") for number in range(60)])

    p()
    assert sorted(done[:-1]) == sorted(f"n{number}" for number in range(60)) and done[-1] == "join"


def test_a_diamond_runs_its_sides_at_once_and_its_end_last() -> None:
    meeting = threading.Barrier(2, timeout=10)

    @step
    def side(x: int, n: int) -> int:
        meeting.wait()
        return x + n

    @pipeline
    def p() -> None:
        top = take_int(1)
        take_sum(side(top, 1), side(top, 2))

    @step
    def take_sum(a: int, b: int) -> int:
        return a + b

    assert p().steps["take_sum"].output.load() == 5
