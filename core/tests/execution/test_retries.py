"""Attempts: how often, how long apart, for which errors, and what is left of each."""

from __future__ import annotations

import time

import pytest

from dovetail import Retry, RunFailed, get_step_context, log_metrics, pipeline, step
from dovetail.errors import DefinitionError


def failing_until(last: int, moments: list[float], error: type[Exception] = ValueError):
    """A step's function that raises until its attempt `last`."""

    def flaky() -> int:
        moments.append(time.monotonic())
        print(f"attempt {len(moments)}")
        if len(moments) < last:
            raise error(f"not yet: {len(moments)}")
        return len(moments)

    return flaky


def run_of(function, **options):
    @pipeline
    def p() -> None:
        step(**options)(function)()

    return p


def test_a_step_is_tried_again_until_it_succeeds_and_each_attempts_log_is_kept() -> None:
    moments: list[float] = []
    found = run_of(failing_until(3, moments), retry=Retry(max_retries=5))().steps["flaky"]
    assert (found.status, found.output.load(), found.attempts, found.outcome["attempt"]) == ("completed", 3, 3, 3)
    assert found.log() == "attempt 1\nattempt 2\nattempt 3\n"


def test_no_retry_is_the_default() -> None:
    moments: list[float] = []
    with pytest.raises(RunFailed):
        run_of(failing_until(2, moments))()
    assert len(moments) == 1


def test_after_the_last_retry_the_step_has_failed_with_its_last_error() -> None:
    moments: list[float] = []
    with pytest.raises(RunFailed, match="not yet: 3") as failed:
        run_of(failing_until(9, moments), retry=Retry(max_retries=2))()
    assert len(moments) == 3
    assert str(failed.value.__cause__) == "not yet: 3"


def test_the_delay_is_constant_unless_there_is_a_backoff() -> None:
    moments: list[float] = []
    run_of(failing_until(4, moments), retry=Retry(max_retries=3, delay=0.15))()
    gaps = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert all(0.15 <= gap < 0.29 for gap in gaps)


def test_a_backoff_multiplies_the_delay_for_each_retry() -> None:
    moments: list[float] = []
    run_of(failing_until(4, moments), retry=Retry(max_retries=3, delay=0.05, backoff=3))()
    gaps = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert [gap >= wanted for gap, wanted in zip(gaps, (0.05, 0.15, 0.45))] == [True] * 3
    assert gaps[0] < 0.14 and gaps[1] < 0.44


@pytest.mark.parametrize("on", [(OSError,), ("OSError",), OSError, (LookupError, "OSError")])
def test_only_errors_that_on_names_and_their_subclasses_are_tried_again(on) -> None:
    moments: list[float] = []
    assert run_of(failing_until(2, moments, FileNotFoundError), retry=Retry(max_retries=1, on=on))().status == "completed"
    moments.clear()
    with pytest.raises(RunFailed):
        run_of(failing_until(2, moments, ValueError), retry=Retry(max_retries=1, on=on))()
    assert len(moments) == 1


def test_a_pipelines_retry_holds_for_steps_that_say_nothing() -> None:
    often: list[float] = []
    once: list[float] = []

    @pipeline(retry=Retry(max_retries=2))
    def p() -> None:
        step(name="often")(failing_until(3, often))()
        step(name="once", retry=Retry(max_retries=0))(failing_until(2, once))()

    with pytest.raises(RunFailed) as failed:
        p()
    assert (len(once), failed.value.run.steps["once"].status) == (1, "failed")
    often.clear()
    run = run_of(failing_until(3, often), retry=Retry(max_retries=2), enable_cache=False)()
    assert (len(often), run.status) == (3, "completed")


def test_a_retry_knows_its_number_and_starts_with_nothing_logged() -> None:
    @step(retry=Retry(max_retries=1))
    def logs() -> int:
        number = get_step_context().attempt
        log_metrics({f"attempt_{number}": number})
        if number == 1:
            raise ValueError("again")
        return number

    @pipeline
    def p() -> None:
        logs()

    found = p().steps["logs"]
    assert found.output.load() == 2
    assert found.metrics == {"attempt_2": 2.0}


def test_a_retry_may_be_given_as_a_number() -> None:
    moments: list[float] = []
    assert run_of(failing_until(3, moments), retry=2)().status == "completed"


def test_a_value_that_cannot_be_saved_is_tried_again_as_any_failure() -> None:
    attempts: list[int] = []

    @step(retry=Retry(max_retries=1))
    def gives() -> object:
        attempts.append(1)
        return open(__file__) if len(attempts) == 1 else 5  # noqa: SIM115

    @pipeline
    def p() -> None:
        gives()

    with pytest.warns(ResourceWarning):
        import gc

        found = p().steps["gives"]
        gc.collect()
    assert (found.output.load(), found.attempts) == (5, 2)


def test_an_error_of_an_earlier_attempt_is_no_error_of_the_run() -> None:
    """The failure that a run reports is that of the step which failed, not one that a retry has made good."""

    @step(retry=Retry(max_retries=1))
    def recovers() -> int:
        if get_step_context().attempt == 1:
            raise ValueError("made good")
        return 1

    @step
    def fails(x: int) -> int:
        raise LookupError("this one")

    @pipeline
    def p() -> None:
        fails(recovers())

    with pytest.raises(RunFailed, match="this one") as failed:
        p()
    assert isinstance(failed.value.__cause__, LookupError)


def test_the_error_that_a_worker_made_good_is_no_error_of_the_run(make_module) -> None:
    flow = make_module("""
        import os
        from dovetail import Retry, get_step_context, pipeline, step

        @step(isolated=True, retry=Retry(max_retries=1))
        def recovers() -> int:
            if get_step_context().attempt == 1:
                os._exit(3)
            return 1

        @step
        def fails(x: int) -> int:
            raise LookupError("this one")

        @pipeline
        def p():
            fails(recovers())
    """)
    with pytest.raises(RunFailed, match="this one") as failed:
        flow.p()
    assert isinstance(failed.value.__cause__, LookupError)


@pytest.mark.parametrize("wrong", [{"max_retries": -1}, {"delay": -1}, {"backoff": 0.5}])
def test_a_retry_that_cannot_be_is_refused_where_it_is_written(wrong) -> None:
    with pytest.raises(DefinitionError, match="cannot be"):
        Retry(**wrong)
