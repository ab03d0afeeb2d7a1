"""Branches that are decided while the run goes."""

from __future__ import annotations

import pytest

from dovetail import pipeline, step, when
from dovetail.errors import DefinitionError, GraphError


@step
def give(x: int) -> int:
    return x


@step
def show(x: int) -> str:
    return f"shown {x}"


@step
def join(a: str, b: str = "none") -> str:
    return a + b


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        (lambda a, b: a > 3, True), (lambda a, b: a >= 5, True), (lambda a, b: a < 5, False), (lambda a, b: a <= 4, False),
        (lambda a, b: a == 5, True), (lambda a, b: a != 5, False), (lambda a, b: a > b, True), (lambda a, b: b == a, False),
        (lambda a, b: (a > 3) & (b > 3), False), (lambda a, b: (a > 3) | (b > 3), True), (lambda a, b: ~(a > 3), False),
        (lambda a, b: a, True), (lambda a, b: b, False), (lambda a, b: ~b, True), (lambda a, b: a & b, False),
    ],
)  # fmt: skip
def test_a_step_below_a_condition_runs_only_if_it_holds(condition, runs) -> None:
    @pipeline
    def p() -> None:
        a, b = give(5, id="a"), give(0, id="b")
        with when(condition(a, b)):
            show(a)

    run = p()
    assert run.steps["show"].status == ("completed" if runs else "skipped")
    assert run.status == "completed"
    if not runs:
        assert run.steps["show"].why == "its condition does not hold"


def test_what_depends_on_a_skipped_step_is_skipped_as_well() -> None:
    @pipeline
    def p() -> None:
        a = give(1)
        with when(a > 9):
            hidden = show(a)
        join(join(hidden))
        show(a, id="beside")

    run = p()
    assert {name: found.status.value for name, found in run.steps.items()} == {
        "give": "completed", "show": "skipped", "join": "skipped", "join_2": "skipped", "beside": "completed",
    }  # fmt: skip
    assert run.steps["join"].why == "step 'show' was skipped"


def test_conditions_can_be_nested() -> None:
    @pipeline
    def p(x: int) -> None:
        a = give(x)
        with when(a > 1):
            show(a, id="outer")
            with when(a > 5):
                show(a, id="inner")

    assert [p(3).steps[name].status.is_success for name in ("outer", "inner")] == [True, False]
    assert [p(7).steps[name].status.is_success for name in ("outer", "inner")] == [True, True]
    assert [p(0).steps[name].status.is_success for name in ("outer", "inner")] == [False, False]


def test_both_branches_of_a_decision() -> None:
    @pipeline
    def p(x: int) -> None:
        large = give(x) > 10
        with when(large):
            show(1, id="yes")
        with when(~large):
            show(2, id="no")

    assert [p(11).steps[name].output.load() if p(11).steps[name].outputs else None for name in ("yes", "no")] == ["shown 1", None]
    assert [p(9).steps[name].output.load() if p(9).steps[name].outputs else None for name in ("yes", "no")] == [None, "shown 2"]


def test_a_condition_is_decided_anew_when_everything_else_is_cached() -> None:
    @pipeline
    def p() -> None:
        with when(give(5) > 3):
            show(1)
        with when(give(5) > 30):
            show(2)

    p()
    run = p()
    assert [found.status.value for found in run.steps.values()] == ["cached", "cached", "cached", "skipped"]


def test_a_failed_step_before_a_condition_leaves_the_branch_skipped() -> None:
    from dovetail import RunFailed

    @step
    def fails() -> int:
        raise ValueError("no")

    @pipeline
    def p() -> None:
        with when(fails() > 1):
            show(1)

    with pytest.raises(RunFailed) as failed:
        p()
    assert failed.value.run.steps["show"].status == "skipped"


def test_a_reference_has_no_truth_value_length_or_attributes_while_tracing() -> None:
    for use in (bool, len, int, float, list, lambda r: r.shape, lambda r: r[0], lambda r: 1 if r > 2 else 0):

        @pipeline
        def p() -> None:
            use(give(1))

        with pytest.raises(GraphError, match=r"when\(…\).*step.map\(…\)"):
            p()


def test_when_takes_outputs_and_comparisons_alone_and_only_in_a_pipeline() -> None:
    @pipeline
    def p() -> None:
        with when(True):
            show(1)

    with pytest.raises(GraphError, match="takes a step's output or a comparison"):
        p()
    with pytest.raises(DefinitionError, match="only inside a pipeline"):
        when(3)
