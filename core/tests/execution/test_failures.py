"""What follows a failure: what still runs, what is skipped, who is told, and what the caller gets."""

from __future__ import annotations

import os
import threading
import time

import pytest

from dovetail import Client, RunFailed, pipeline, step


@step
def fine(x: int = 0) -> int:
    return x + 1


@step
def unhurried(x: int) -> int:
    time.sleep(0.5)  # ends after the failure of what began with it
    return x


@step
def breaks(x: int = 0) -> int:
    raise ZeroDivisionError("broken on purpose")


def test_a_failed_run_raises_run_failed_with_the_run_chained_to_the_steps_exception() -> None:
    @pipeline
    def p() -> None:
        breaks()

    with pytest.raises(RunFailed, match="Step 'breaks' failed: ZeroDivisionError: broken on purpose") as failed:
        p()
    assert isinstance(failed.value, RuntimeError)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    run = failed.value.run
    assert (run.status, run.steps["breaks"].status) == ("failed", "failed")
    assert run.steps["breaks"].error["type"] == "builtins:ZeroDivisionError"
    assert "in breaks" in run.steps["breaks"].error["traceback"]
    assert os.path.join("dovetail", "execution") not in run.steps["breaks"].error["traceback"]


def test_what_depends_on_a_failed_step_is_skipped_and_says_why() -> None:
    @pipeline
    def p() -> None:
        fine(fine(breaks()))

    with pytest.raises(RunFailed) as failed:
        p()
    steps = failed.value.run.steps
    assert [steps[name].status for name in ("breaks", "fine", "fine_2")] == ["failed", "skipped", "skipped"]
    assert "step 'breaks' failed" in steps["fine"].why


def test_the_default_policy_starts_nothing_after_the_first_failure() -> None:
    @pipeline
    def p() -> None:
        broken = breaks()
        fine.with_options(after=[broken])()

    @pipeline
    def q() -> None:
        first = fine(1)
        breaks(first)
        fine(unhurried(first))

    with pytest.raises(RunFailed):
        p()
    with pytest.raises(RunFailed) as failed:
        q()
    assert failed.value.run.steps["fine_2"].status == "skipped"


def test_policy_continue_finishes_what_does_not_depend_on_the_failure() -> None:
    @pipeline(failure_policy="continue")
    def p() -> None:
        broken = breaks()
        fine(broken, id="dependent")
        one = fine(1, id="one")
        fine(fine(one, id="two"), id="three")

    with pytest.raises(RunFailed) as failed:
        p()
    steps = failed.value.run.steps
    assert {name: found.status.value for name, found in steps.items()} == {
        "breaks": "failed", "dependent": "skipped", "one": "completed", "two": "completed", "three": "completed",
    }  # fmt: skip
    assert failed.value.run.status == "failed"


def test_policy_stop_lets_steps_that_run_finish() -> None:
    begun = threading.Event()

    @step
    def slow() -> int:
        begun.set()
        threading.Event().wait(0.2)
        return 1

    @step
    def fails() -> int:
        assert begun.wait(5)
        raise ValueError("no")

    @pipeline
    def p() -> None:
        slow()
        fails()

    with pytest.raises(RunFailed) as failed:
        p()
    assert failed.value.run.steps["slow"].status == "completed"


def test_hooks_are_told_of_start_success_failure_and_end_in_that_order() -> None:
    told: list[str] = []

    def started() -> None:
        told.append("start")

    def succeeded() -> None:
        told.append("success")

    def failed(error: BaseException) -> None:
        told.append(f"failure: {error}")

    def ended() -> None:
        told.append("end")

    hooks = {"on_start": started, "on_success": succeeded, "on_failure": failed, "on_end": ended}

    @pipeline
    def good() -> None:
        fine.with_options(**hooks)()

    @pipeline
    def bad() -> None:
        breaks.with_options(**hooks)()

    good()
    assert told == ["start", "success", "end"]
    told.clear()
    with pytest.raises(RunFailed):
        bad()
    assert told == ["start", "failure: broken on purpose", "end"]


def test_a_failure_hook_may_take_no_argument() -> None:
    told: list[str] = []

    @pipeline
    def p() -> None:
        breaks.with_options(on_failure=lambda: told.append("failed"))()

    with pytest.raises(RunFailed):
        p()
    assert told == ["failed"]


def test_a_failure_hook_is_called_once_when_no_retry_follows() -> None:
    told: list[str] = []

    @pipeline
    def p() -> None:
        breaks.with_options(on_failure=lambda error: told.append(str(error)), retry=2)()

    with pytest.raises(RunFailed):
        p()
    assert told == ["broken on purpose"]


def test_a_hook_that_raises_loses_no_result() -> None:
    def broken() -> None:
        raise KeyError("in the hook")

    @pipeline
    def p() -> None:
        fine.with_options(on_start=broken, on_success=broken, on_end=broken)(1)

    with pytest.warns(UserWarning, match="The hook 'broken' raised KeyError"):
        run = p()
    assert run.steps["fine"].output.load() == 2


def test_a_pipelines_hooks_are_told_how_the_run_ended() -> None:
    told: list[str] = []

    def succeeded() -> None:
        told.append("success")

    def failed(error: BaseException) -> None:
        told.append(type(error).__name__)

    @pipeline(on_success=succeeded, on_failure=failed)
    def good() -> None:
        fine()

    @pipeline(on_success=succeeded, on_failure=failed)
    def bad() -> None:
        breaks()

    good()
    with pytest.raises(RunFailed):
        bad()
    assert told == ["success", "ZeroDivisionError"]


def test_a_pipelines_hook_that_raises_does_not_hide_how_the_run_ended() -> None:
    def broken() -> None:
        raise KeyError("in the hook")

    @pipeline(on_success=broken, on_failure=broken)
    def good() -> None:
        fine()

    @pipeline(on_success=broken, on_failure=broken)
    def bad() -> None:
        breaks()

    with pytest.warns(UserWarning, match="The hook 'broken' raised KeyError"):
        assert good().status == "completed"
    with pytest.warns(UserWarning, match="The hook 'broken' raised KeyError"), pytest.raises(RunFailed):
        bad()


def test_a_broken_observer_loses_no_result(install_plugin) -> None:
    install_plugin("badobserver", """
        from dovetail.plugin import hookimpl

        @hookimpl
        def dovetail_step_finished(event):
            raise RuntimeError("observer broken")
    """)

    @pipeline
    def p() -> None:
        fine(1)

    assert p().steps["fine"].output.load() == 2


def test_a_tracker_that_raises_loses_no_result_and_the_record_has_what_was_logged(install_plugin, apply_stack) -> None:
    from dovetail import log_metrics, log_params

    install_plugin("badtracker", """
        from dovetail.components import ExperimentTracker
        from dovetail.plugin import FlavorSpec, hookimpl

        class Bad(ExperimentTracker):
            def start(self, step_run): ...
            def log_params(self, params): raise ConnectionError("params lost")
            def log_metrics(self, metrics, step): raise ConnectionError("metrics lost")
            def finish(self, step_run): raise ConnectionError("finish lost")

        @hookimpl
        def dovetail_experiment_trackers():
            return [FlavorSpec("bad", "badtracker:Bad")]
    """)
    apply_stack("tracked", experiment_tracker=("bad", "b", {}))

    @step(experiment_tracker=True)
    def logs() -> int:
        log_params(lr=0.1)
        log_metrics(auc=0.5)
        return 1

    @pipeline
    def p() -> None:
        logs()

    found = p.with_options(stack="tracked")().steps["logs"]
    assert (found.status, found.params, found.metrics) == ("completed", {"lr": 0.1}, {"auc": 0.5})
    assert found.outcome["tracker_errors"] == ["ConnectionError: params lost", "ConnectionError: metrics lost", "ConnectionError: finish lost"]


def test_wait_false_neither_waits_nor_raises(make_module) -> None:
    flow = make_module("""
        import time
        from dovetail import pipeline, step

        @step
        def slow_and_bad() -> int:
            time.sleep(0.3)
            raise ValueError("later")

        @pipeline
        def p():
            slow_and_bad()
    """)
    run = flow.p.with_options(wait=False)()
    assert not run.status.is_final
    assert Client().wait(run, timeout=20).status == "failed"


def test_system_exit_in_a_step_fails_the_step_and_ends_nothing_else() -> None:
    @step
    def leaves() -> int:
        raise SystemExit(3)

    @pipeline
    def p() -> None:
        leaves()

    with pytest.raises(RunFailed, match="SystemExit: 3"):
        p()


def test_a_failed_step_keeps_what_it_logged_before() -> None:
    from dovetail import log_metadata, log_metrics

    @step
    def fails() -> int:
        log_metrics(loss=3.0)
        log_metadata(where="early")
        print("so far")
        raise ValueError("no")

    @pipeline
    def p() -> None:
        fails()

    with pytest.raises(RunFailed) as failed:
        p()
    found = failed.value.run.steps["fails"]
    assert (found.metrics, found.metadata, found.log()) == ({"loss": 3.0}, {"where": "early"}, "so far\n")
