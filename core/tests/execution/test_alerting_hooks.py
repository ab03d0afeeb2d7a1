"""Hooks that tell the stack's alerter: who is told what, once, and that nothing depends on it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dovetail import Retry, RunFailed, pipeline, step
from dovetail.components import Alert, Alerter, Level
from dovetail.errors import AlertError
from dovetail.hooks import alert_on_failure, alert_on_success
from dovetail.testing import in_memory


@step
def fine(x: int = 0) -> int:
    return x + 1


@step
def breaks(x: int = 0) -> int:
    raise ZeroDivisionError("broken on purpose")


@step(on_failure=alert_on_failure, on_success=alert_on_success)
def tells(x: int = 0, *, fail: bool = False) -> int:
    if fail:
        raise ValueError("no <rows> left")
    return x


class BrokenAlerter(Alerter):
    def send(self, alert: Alert) -> None:
        raise AlertError("Alerter 'ops' could not deliver an alert: host answered 404.")


def failing(called: Any) -> RunFailed:
    with pytest.raises(RunFailed) as caught:
        called()
    return caught.value


def test_a_failed_step_is_told_with_its_error_and_its_run() -> None:
    @pipeline
    def nightly() -> None:
        tells(fail=True)

    with in_memory() as stack:
        run = failing(nightly).run
        (alert,) = stack.alerter.sent
    assert (alert.title, alert.text, alert.level) == ("Step 'tells' of pipeline 'nightly' failed", "ValueError: no <rows> left", Level.ERROR)
    assert alert.fields == {"run": run.name, "run id": run.id, "stack": "test"}


def test_a_step_that_is_done_is_told() -> None:
    @pipeline
    def nightly() -> None:
        tells()

    with in_memory() as stack:
        nightly()
        (alert,) = stack.alerter.sent
        assert (alert.title, alert.level) == ("Step 'tells' of pipeline 'nightly' completed", Level.INFO)


def test_a_step_that_is_tried_again_is_told_once_it_has_failed_for_good() -> None:
    @pipeline
    def nightly() -> None:
        tells.with_options(retry=Retry(max_retries=2, delay=0))(fail=True)

    with in_memory() as stack:
        failing(nightly)
        (alert,) = stack.alerter.sent
        assert alert.fields["attempt"] == "3"


def test_a_failed_pipeline_is_told_once_with_each_step_that_failed() -> None:
    @pipeline(on_failure=alert_on_failure, on_success=alert_on_success, failure_policy="continue")
    def nightly() -> None:
        fine(breaks())
        breaks()
        fine()

    with in_memory() as stack:
        run = failing(nightly).run
        (alert,) = stack.alerter.sent
    assert (alert.title, alert.level) == ("Pipeline 'nightly' failed", Level.ERROR)
    broken = "failed: ZeroDivisionError: broken on purpose"
    assert sorted(alert.text.splitlines()) == [f"Step 'breaks' {broken}", f"Step 'breaks_2' {broken}"]
    assert {name: alert.fields[name] for name in ("run", "run id", "stack")} == {"run": run.name, "run id": run.id, "stack": "test"}


def test_a_run_with_many_failures_tells_the_first_and_how_many_there_are() -> None:
    @pipeline(on_failure=alert_on_failure, failure_policy="continue")
    def nightly() -> None:
        for _ in range(8):
            breaks()

    with in_memory() as stack:
        failing(nightly)
        (alert,) = stack.alerter.sent
        assert alert.text.splitlines()[5:] == ["… and 3 more."]


def test_a_pipeline_that_is_done_is_told_also_when_all_of_it_was_cached() -> None:
    @pipeline(on_success=alert_on_success)
    def nightly() -> None:
        fine(fine())

    with in_memory() as stack:
        nightly(), nightly()
        told = [(alert.title, alert.text) for alert in stack.alerter.sent]
        assert told == [("Pipeline 'nightly' completed", "2 steps are done."), ("Pipeline 'nightly' cached", "2 steps are done.")]


def test_telling_does_not_make_the_alerter_part_of_what_a_step_depends_on() -> None:
    @pipeline
    def nightly() -> None:
        tells()

    with in_memory() as stack:
        run = nightly()
        assert run.steps["tells"].outcome.get("readings", []) == []
        assert (nightly().status, len(stack.alerter.sent)) == ("cached", 1)


def test_without_an_alerter_nothing_happens_but_a_note(caplog: pytest.LogCaptureFixture) -> None:
    @pipeline(on_failure=alert_on_failure)
    def nightly() -> None:
        breaks()

    with caplog.at_level(logging.WARNING, "dovetail"):
        failing(nightly)  # on the default stack
    (note,) = [record.getMessage() for record in caplog.records if "alerter" in record.getMessage()]
    assert note.startswith("Stack 'default' has no alerter, so nobody is told: Pipeline 'nightly' failed.")


def test_an_alerter_that_fails_changes_nothing_of_the_result() -> None:
    @pipeline(on_success=alert_on_success)
    def nightly() -> None:
        tells()

    with in_memory(BrokenAlerter()), pytest.warns(UserWarning, match="'alert_on_success' raised AlertError: Alerter 'ops' could not deliver"):
        assert nightly().status == "completed"


def test_outside_runs_there_is_nothing_to_tell() -> None:
    with in_memory() as stack:
        alert_on_failure(ValueError("x"))
        alert_on_success()
        assert stack.alerter.sent == []
