"""Resources as admission: what runs at once never exceeds what there is."""

from __future__ import annotations

import threading
import time

import pytest

from dovetail import Resources, pipeline, step
from dovetail.errors import DefinitionError, PreflightFailed


class Meter:
    """How much is in use, and the most that ever was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0.0
        self.together = 0

    def use(self, amount: float, seconds: float = 0.05) -> None:
        with self._lock:
            self.now += amount
            self.most = max(self.most, self.now)
        time.sleep(seconds)
        with self._lock:
            self.now -= amount


@pytest.mark.parametrize(("kind", "limit", "amounts"), [("cpu", 2, [1, 1, 1, 1.5, 0.5, 2]), ("memory", 1000, [600, 600, 400, 400, 1000])])
def test_steps_that_run_at_once_never_ask_for_more_than_there_is(apply_stack, kind, limit, amounts) -> None:
    apply_stack("bounded", orchestrator=("local", "bounded", {kind: limit, "workers": 10}))
    meter = Meter()

    @step
    def work(amount: float) -> float:
        meter.use(amount)
        return amount

    @pipeline
    def p() -> None:
        for amount in amounts:
            work.with_options(resources=Resources(**{kind: amount}))(amount)

    run = p.with_options(stack="bounded")()
    assert run.status == "completed"
    assert limit / 2 < meter.most <= limit


def test_a_step_that_asks_for_nothing_runs_beside_one_that_asks_for_all(apply_stack) -> None:
    apply_stack("bounded", orchestrator=("local", "bounded", {"cpu": 2, "workers": 4}))
    meeting = threading.Barrier(2, timeout=10)

    @step
    def meet() -> int:
        meeting.wait()
        return 1

    @pipeline
    def p() -> None:
        meet.with_options(resources=Resources(cpu=2))(id="all")
        meet(id="none")

    assert p.with_options(stack="bounded")().status == "completed"


def test_what_no_machine_of_the_stack_has_is_refused_before_the_run_with_the_way_to_waive_it(apply_stack) -> None:
    apply_stack("small", orchestrator=("local", "small", {"cpu": 2, "memory": 1000}))
    apply_stack("lenient", orchestrator=("local", "small", {"cpu": 2, "memory": 1000}), waive=["resources.cpu", "resources.memory", "resources.gpu"])

    @step(resources=Resources(cpu=64, memory="1TB", gpu=1))
    def large() -> int:
        return 1

    @pipeline
    def p() -> None:
        large()

    with pytest.raises(PreflightFailed) as refused:
        p.with_options(stack="small")()
    problems = "\n".join(refused.value.problems)
    assert "Step 'large' asks for cpu 64, and orchestrator 'small' has 2" in problems
    assert "`waive: [resources.cpu]`" in problems and "`waive: [resources.memory]`" in problems and "`waive: [resources.gpu]`" in problems
    run = p.with_options(stack="lenient")()
    assert run.status == "completed"
    assert set(run.query.ledger.run(run.id).header()["waived"]) == {"resources.cpu", "resources.memory", "resources.gpu"}


def test_a_waived_step_that_is_larger_than_the_machine_runs_alone(apply_stack) -> None:
    apply_stack("lenient", orchestrator=("local", "small", {"cpu": 2, "workers": 4}), waive=["resources.cpu"])
    meter = Meter()

    @step
    def work(amount: float) -> float:
        meter.use(1)
        return amount

    @pipeline
    def p() -> None:
        for amount in (2, 64, 1):
            work.with_options(resources=Resources(cpu=amount))(amount, id=f"c{amount}")

    assert p.with_options(stack="lenient")().status == "completed"
    assert meter.most == 1


def test_the_real_machine_bounds_the_default_stack() -> None:
    import os

    @step
    def large() -> int:
        return 1

    @pipeline
    def p() -> None:
        large.with_options(resources=Resources(cpu=(os.cpu_count() or 1) + 1))()

    with pytest.raises(PreflightFailed, match="asks for cpu"):
        p()


@pytest.mark.parametrize("wrong", [{"cpu": -1}, {"memory": "lots"}, {"gpu": "two"}, {"cpu": True}])
def test_resources_that_cannot_be_are_refused_where_they_are_written(wrong) -> None:
    with pytest.raises(DefinitionError):
        Resources(**wrong)
