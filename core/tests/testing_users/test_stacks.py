"""What users' own tests are given: a stack that leaves nothing, one step alone, fakes that remember, and faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

from dovetail import Client, Model, Retry, RunFailed, get_step_context, log_metrics, log_params, pipeline, step
from dovetail.errors import ConfigurationError, DefinitionError, PreflightFailed
from dovetail.testing import FakeDeployer, FakeTracker, failing_store, in_memory, lost_worker, on_disk, refused_credentials, run_step, slow_store


@step
def numbers(count: int = 3) -> list[int]:
    log_params({"count": count})
    return list(range(count))


@step
def total(numbers: list[int]) -> int:
    log_metrics({"sum": sum(numbers)}, step=1)
    return sum(numbers)


@pipeline(model=Model("m"))
def adding() -> None:
    total(numbers())


def test_a_pipeline_runs_in_memory_and_nothing_of_it_is_left(isolated: Path) -> None:
    with in_memory() as stack:
        run = adding()
        assert run.steps["total"].output.load() == 3
        assert (run.stack, Client().get_model("m").latest.version) == ("test", 1)
        assert adding().status == "cached"
        assert len(stack.client.list_runs()) == 2
    assert [path for path in isolated.rglob("*") if path.is_file()] == []
    assert Client().list_runs() == []


def test_each_stack_begins_empty() -> None:
    for _ in range(2):
        with in_memory():
            assert adding().status == "completed"


def test_the_fakes_remember_what_they_were_told() -> None:
    @step
    def deploys() -> int:
        Client().active_stack.model_deployer.deploy_model(config={"model": {"a": 1}, "model_name": "m"})
        Client().active_stack.alerter.post("deployed", level="warning")
        get_step_context().set_tags({"kind": "demo"})
        return 1

    @pipeline
    def p() -> None:
        deploys()
        total(numbers())

    with in_memory(FakeDeployer(answer=[7])) as stack:
        p()
        assert stack.tracker.told["numbers"].params == {"count": 3}
        assert stack.tracker.told["total"].metrics == {"sum": [(3.0, 1)]}
        assert stack.tracker.told["deploys"].tags == {"kind": "demo"}
        assert [deployment.name for deployment in stack.deployer.deployed] == ["m"]
        assert [(alert.text, alert.level) for alert in stack.alerter.sent] == [("deployed", "warning")]
        (deployment,) = Client().list_deployments()
        assert deployment.predict([1, 2]) == [7]


def test_one_step_is_run_with_values() -> None:
    @step
    def split(items: list[Any], at: int = 1) -> tuple[Annotated[list[Any], "left"], Annotated[list[Any], "right"]]:
        log_metrics({"at": at})
        print("splitting")
        return items[:at], items[at:]

    done = run_step(split, items=[{1, 2}, 3], at=1)
    assert done.value == ([{1, 2}], [3])
    assert (done.outputs["right"], done.metrics, done.log) == ([3], {"at": 1.0}, "splitting\n")


def test_a_step_is_run_on_the_stack_around_it() -> None:
    with in_memory(FakeTracker()) as stack:
        assert run_step(total, numbers=[1, 2]).value == 3
        assert stack.tracker.told["total"].status == "completed"


def test_what_a_step_raises_is_raised() -> None:
    @step
    def fails() -> int:
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError, match="no"):
        run_step(fails)


FLOW = """
    from dovetail import Retry, pipeline, step
    @step(isolated=True, retry=Retry(max_retries=1))
    def apart() -> int:
        return 1
    @step(isolated=True)
    def once() -> int:
        return 1
    @pipeline
    def retried():
        apart()
    @pipeline
    def not_retried():
        once()
"""


def test_a_worker_that_is_lost_is_tried_again_or_fails_the_step(make_module: Any) -> None:
    flow = make_module(FLOW)
    with on_disk():
        with lost_worker("apart") as killed:
            run = flow.retried()
        assert (run.status, run.steps["apart"].attempts, len(killed)) == ("completed", 2, 1)
        with lost_worker("once"), pytest.raises(RunFailed, match="ended with signal SIGKILL"):
            flow.not_retried()


def test_a_step_in_a_worker_goes_on_without_the_fakes_and_complains_of_none(make_module: Any) -> None:
    """The fakes are this process's; what the step says is in the record all the same."""
    flow = make_module(
        """
        from dovetail import get_step_context, log_metrics, pipeline, step

        @step(isolated=True)
        def apart() -> int:
            log_metrics(loss=0.5)
            return 1

        @pipeline
        def p():
            apart()
        """
    )
    with on_disk():
        step = flow.p().steps["apart"]
        assert (step.metrics, step.outcome.get("tracker_errors")) == ({"loss": 0.5}, None)
        assert "warning" not in step.log().lower()


def test_what_is_no_step_is_told_to_be_none() -> None:
    for given in (lambda rows: rows, adding, 3):
        with pytest.raises(DefinitionError, match="runs a function that is marked with @step, and .* is none. Mark it"):
            run_step(given, rows=[1])


def test_a_worker_that_is_this_process_cannot_be_lost() -> None:
    @step
    def slow() -> int:
        return 1

    @pipeline
    def p() -> None:
        slow()

    with in_memory(), pytest.raises(ConfigurationError, match="isolated=True"), lost_worker("slow"):
        p()


def test_a_slow_store_makes_no_difference_but_time() -> None:
    with in_memory() as stack, slow_store(stack.store, 0.005):
        assert adding().status == "completed"


def test_a_store_that_fails_for_a_moment_is_told_of() -> None:
    with in_memory() as stack:
        with failing_store(stack.store, OSError("away"), requests="create", times=1), pytest.raises(OSError, match="away"):
            adding()
        assert adding().status == "completed"


def test_a_tracker_that_refuses_fails_no_run_and_is_recorded() -> None:
    with in_memory() as stack:
        with refused_credentials(stack.tracker):
            run = adding()
        assert run.steps["total"].metrics == {"sum": 3.0}
        assert "403" in run.steps["total"].outcome["tracker_errors"][0]
        with refused_credentials(in_memory_tracker := FakeTracker(on_unreachable="fail")), in_memory(in_memory_tracker):
            with pytest.raises(PreflightFailed, match=r"403 the credentials were refused.*on_unreachable: continue"):
                adding()
            assert Client().list_runs() == []


def test_no_test_runner_is_needed(programs: Any) -> None:
    source = "import sys\nfrom dovetail import step\nfrom dovetail.testing import in_memory, run_step\n"
    source += "@step\ndef one() -> int:\n    return 1\nassert run_step(one).value == 1\nassert 'pytest' not in sys.modules\nprint('fine')\n"
    programs.write("plain.py", source)
    assert programs.run("plain.py").splitlines()[-1] == "fine"
