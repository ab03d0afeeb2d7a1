"""The checks before a run find everything, and say what helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail import Client, Environment, Resources, Retry, pipeline, step
from dovetail.errors import PreflightFailed

ORCHESTRATOR = """
from dovetail.components import Orchestrator
from dovetail.plugin import FlavorSpec, hookimpl

@hookimpl
def dovetail_orchestrators():
    return [FlavorSpec("poor", "poor:Poor")]

class Poor(Orchestrator):
    def submit(self, plan, run):
        run.drive(lambda task: task.run_here(), slots=1)
"""


@step(
    experiment_tracker=True,
    model_deployer="another",
    retry=Retry(),
    timeout=1,
    resources=Resources(cpu=1, gpu=1),
    environment=Environment(env={"A": "b"}, image="x"),
)
def wants_everything() -> int:
    return 1


@step
def item(x: int) -> int:
    return x


@pipeline
def wishful() -> None:
    wants_everything()
    item.map([1, 2])


def test_everything_that_a_stack_cannot_do_is_told_before_anything_runs(
    install_plugin: Callable[..., Path], apply_stack: Callable[..., None], isolated: Path
) -> None:
    install_plugin("poor", ORCHESTRATOR)
    apply_stack("weak", orchestrator=("poor", "weak_one", {}))
    with pytest.raises(PreflightFailed) as caught:
        wishful.with_options(stack="weak")()
    said = str(caught.value)
    for expected in (
        "asks for the experiment tracker, and stack 'weak' has none",
        "model deployer 'another', and stack 'weak' has 'default'",
        "sets retry, which orchestrator 'weak_one' (flavor poor) cannot honour",
        "sets timeout",
        "sets resources,",
        "sets resources.gpu",
        "sets environment.env",
        "sets environment,",
        "sets map",
        "waive: [resources.gpu]",
    ):
        assert expected in said
    assert Client("weak").list_runs() == []


def test_a_waived_setting_lets_the_run_go_on_and_the_plan_and_record_say_so(apply_stack: Callable[..., None]) -> None:
    @step(resources=Resources(gpu=1))
    def gpu_step() -> int:
        return 1

    @pipeline
    def on_gpu() -> None:
        gpu_step()

    with pytest.raises(PreflightFailed, match=r"waive: \[resources.gpu\]"):
        on_gpu()
    apply_stack("easy", waive=["resources.gpu"])
    easy = on_gpu.with_options(stack="easy")
    assert "waives resources.gpu" in str(easy.plan())
    run = easy()
    assert run.status == "completed"
    assert run.plan.stack["waive"] == ["resources.gpu"]


def test_resources_beyond_the_machine_are_refused_with_the_cure() -> None:
    @step(resources=Resources(cpu=10_000, memory="9PiB"))
    def huge() -> int:
        return 1

    @pipeline
    def too_much() -> None:
        huge()

    with pytest.raises(PreflightFailed) as caught:
        too_much()
    assert "asks for cpu 10000" in str(caught.value)
    assert "asks for memory 10 PB, and" in str(caught.value)


def test_settings_for_another_flavor_are_shown_as_not_for_this_stack_and_wrong_ones_are_refused() -> None:
    @step(settings={"vertex": {"machine_type": "n1"}})
    def elsewhere() -> int:
        return 1

    @step(settings={"orchestrator": {"wokers": 2}})
    def mistyped() -> int:
        return 1

    @pipeline
    def flow() -> None:
        elsewhere()

    @pipeline
    def wrong() -> None:
        mistyped()

    assert "settings for 'vertex' are not for this stack" in str(flow.plan())
    assert flow().status == "completed"
    with pytest.raises(PreflightFailed, match="workers"):
        wrong()


def test_a_step_that_needs_a_process_and_cannot_be_imported_is_refused_with_the_cure() -> None:
    @step(timeout=5)
    def local() -> int:
        return 1

    @pipeline
    def flow() -> None:
        local()

    with pytest.raises(PreflightFailed, match="Define the step at module level"):
        flow()


def test_a_step_inside_a_function_is_refused_where_every_step_gets_a_process(apply_stack) -> None:
    apply_stack("apart", orchestrator=("local", "apart", {"processes": True}))

    @step
    def inner() -> int:
        return 1

    @pipeline
    def p() -> None:
        inner()

    with pytest.raises(PreflightFailed, match="Step 'inner' would get a process.* orchestrator 'apart'.*Define the step at module level"):
        p.with_options(stack="apart")()


def test_a_store_that_cannot_be_written_to_is_told_before_anything_runs(apply_stack: Callable[..., None], isolated: Path) -> None:
    (isolated / "file").write_text("no folder")
    apply_stack("nowhere", artifact_store=("local", "blocked", {"path": str(isolated / "file" / "store")}))

    @step
    def one() -> int:
        return 1

    @pipeline
    def flow() -> None:
        one()

    with pytest.raises((PreflightFailed, OSError), match="blocked|file"):
        flow.with_options(stack="nowhere")()
