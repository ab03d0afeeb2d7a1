"""Engines elsewhere that do not answer, and submitters that are killed: what the workers commit counts."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from dovetail import Client, RunFailed
from dovetail.components import Job, RunningJob
from dovetail.errors import PreflightFailed, StepTimeout
from dovetail.execution import jobs
from dovetail.ledger import layout
from dovetail.ledger.verifying import verify
from dovetail.local import step_operator

_FLOW = """
    import os, sys, time
    from pathlib import Path
    from dovetail import Retry, get_step_context, pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    def told(name):
        with open(PLACE / "executed", "a") as file:
            file.write(name + "\\n")

    @step
    def first() -> int:
        told("first")
        return 20

    @step(retry=Retry(max_retries=1))
    def slow(x: int, seconds: float) -> int:
        told("slow")
        (PLACE / "pid").write_text(str(os.getpid()))
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (PLACE / "go").exists():
            time.sleep(0.02)
        return x * 2

    @step(retry=Retry(max_retries=1))
    def at_second(x: int) -> int:
        if get_step_context().attempt == 1:
            raise ValueError("the first one fails")
        return x * 2

    @step
    def after(x: int) -> int:
        told("after")
        return x + 2

    @pipeline
    def p(seconds: float = 2.0):
        after(slow(first(), seconds))

    @pipeline
    def again():
        after(at_second(first()))

    if __name__ == "__main__":
        p(60.0)
"""


@pytest.fixture
def away(monkeypatch):
    """Has the engine answer no question on a worker, of those that `which` names, from its first second until `seconds` have passed."""
    monkeypatch.setattr(jobs, "_WITHOUT_ENGINE", 0.3)
    wait, stop, explain, close = (getattr(step_operator._ProcessInFolder, name) for name in ("wait", "stop", "explain", "close"))
    kept = []
    begun = time.monotonic()

    def be_away(seconds: float, after: float = 0.0) -> None:
        def or_away(call):
            def asked(self, *given):
                if self not in kept:
                    kept.append(self)
                if after <= time.monotonic() - begun < seconds:
                    raise ConnectionError("there is no such engine")
                return call(self, *given)

            return asked

        for name, call in (("wait", wait), ("stop", stop), ("explain", explain), ("close", close)):
            monkeypatch.setattr(step_operator._ProcessInFolder, name, or_away(call))

    yield be_away
    for running in kept:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
        close(running)


@pytest.fixture
def short_leases(monkeypatch) -> None:
    monkeypatch.setattr(layout, "HEARTBEAT", 1.0)
    monkeypatch.setattr(layout, "LEASE", 5.0)


def executed(elsewhere) -> list[str]:
    return (elsewhere.place / "executed").read_text().split()


@pytest.mark.parametrize("seconds", [6.0, 10_000.0])
@pytest.mark.parametrize("pipeline", ["p", "again"])
def test_while_the_engine_does_not_answer_the_ledger_tells_what_became_of_a_step(elsewhere, make_module, away, seconds, pipeline) -> None:
    away(seconds)
    run = getattr(make_module(_FLOW), pipeline)()
    assert (run.status, run.steps["after"].output.load()) == ("completed", 42)
    assert {name: step.attempts for name, step in run.steps.items() if step.attempts != 1} == ({"at_second": 2} if pipeline == "again" else {})


def test_a_worker_that_goes_with_its_engine_is_lost_within_two_leases(elsewhere, make_module, away, short_leases, monkeypatch) -> None:
    away(10_000.0)
    start = step_operator.LocalStepOperator.start

    def killed_in_a_moment(self, job):
        running = start(self, job)
        if "slow-" in job.name:
            elsewhere.pid()
            running.process.kill()
        return running

    monkeypatch.setattr(step_operator.LocalStepOperator, "start", killed_in_a_moment)
    with pytest.raises(RunFailed, match="has not been heard of for .* and its engine does not answer"):
        make_module(_FLOW).p()
    slow = Client().list_runs()[0].steps["slow"]
    ended = Client().ledger.run(slow.run.id).attempt("slow", 1, "ended")
    assert ended["ended"] - ended["started"] < 2 * layout.LEASE + 2
    assert slow.attempts == 2


def test_an_engine_that_does_not_answer_when_a_worker_is_to_be_started_is_asked_again_for_the_same_job(elsewhere, make_module, monkeypatch) -> None:
    start, names = step_operator.LocalStepOperator.start, []

    def answers_at_third(self, job):
        names.append(job.name)
        running = start(self, job)
        if names.count(job.name) < 3:
            answers_at_third.kept.append(running)
            raise ConnectionError("the answer was lost")
        return running

    answers_at_third.kept = []
    monkeypatch.setattr(step_operator.LocalStepOperator, "start", answers_at_third)
    run = make_module(_FLOW).p()
    assert run.status == "completed"
    assert executed(elsewhere) == ["first", "slow", "after"]
    assert len(names) == 3 * len(set(names)) == 9


class _Queued(RunningJob):
    """A job that has a machine after `seconds`, and runs on it as long again."""

    address = "a queue"

    def __init__(self, seconds: float, *, told: bool) -> None:
        self.starts, self.ends, self._told = time.monotonic() + seconds, time.monotonic() + 2 * seconds, told

    def wait(self, seconds: float) -> int | None:
        time.sleep(0.02)
        return 0 if time.monotonic() > self.ends else None

    def queued(self) -> bool:
        return self._told and time.monotonic() < self.starts

    def stop(self) -> None:
        return

    def explain(self) -> str:
        return ""


@pytest.mark.parametrize("told", [True, False])
def test_a_steps_timeout_begins_when_its_job_has_a_machine(told, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "BEGINNING", 0.5)
    running = _Queued(1.2, told=told)
    records = SimpleNamespace(
        note_job=lambda *_: None, outcome=lambda _: {"status": "completed"} if time.monotonic() > running.ends else None,
        attempt=lambda *_: None, silence_of=lambda *_: None,
    )  # fmt: skip
    watch = jobs.Watch(records, Job("job", [], timeout=1.0), "step", 1, lambda: False)
    if told:
        assert watch.until_it_ends(running, {}) == {"outcome": {"status": "completed"}}
    else:
        with pytest.raises(StepTimeout):
            watch.until_it_ends(running, {})


def test_a_worker_that_cannot_be_started_within_a_lease_fails_the_step_with_what_the_engine_said(elsewhere, make_module, short_leases, monkeypatch) -> None:
    def start(self, job):
        raise ConnectionError("no engine listens at nowhere:1")

    monkeypatch.setattr(step_operator.LocalStepOperator, "start", start)
    with pytest.raises(RunFailed, match="could not be started: no engine listens at nowhere:1"):
        make_module(_FLOW).p()
    assert Client().list_runs()[0].steps["first"].error["type"] == "dovetail.errors:WorkerLost"


def test_an_engine_that_does_not_answer_before_the_run_is_told_at_once_and_nothing_is_begun(elsewhere, make_module, monkeypatch) -> None:
    monkeypatch.setattr(step_operator.LocalStepOperator, "check", lambda self: ["No engine listens at nowhere:1. Start it."])
    flow = make_module(_FLOW.replace("@step(retry=Retry(max_retries=1))", "@step(step_operator=True)"))
    with pytest.raises(PreflightFailed, match="No engine listens at nowhere:1. Start it."):
        flow.p.with_options(stack="operated")()
    assert Client(stack="operated").list_runs() == []


def test_a_python_without_dovetail_fails_the_step_with_the_cure_and_without_frames_of_the_framework(
    elsewhere, make_module, apply_stack, monkeypatch, tmp_path
) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    apply_stack("bare", step_operator=("local", "bare", {"python": str(bare)}))
    monkeypatch.setattr(step_operator.LocalStepOperator, "check", lambda self: [])
    flow = make_module(_FLOW.replace("@step(retry=Retry(max_retries=1))", "@step(step_operator=True)"))
    with pytest.raises(RunFailed, match="Dovetail is not installed where the worker ran. Install it there"):
        flow.p.with_options(stack="bare")()
    error = Client(stack="bare").list_runs()[0].steps["slow"].error
    assert error["traceback"].startswith("dovetail.errors.WorkerLost: ")


def test_an_interpreter_that_is_none_fails_the_step_at_once(elsewhere, make_module, apply_stack, monkeypatch) -> None:
    monkeypatch.setattr(step_operator.LocalStepOperator, "check", lambda self: [])
    apply_stack("wrong", step_operator=("local", "wrong", {"python": "/nowhere/python"}))
    flow = make_module(_FLOW.replace("@step(retry=Retry(max_retries=1))", "@step(step_operator=True)"))
    begun = time.monotonic()
    with pytest.raises(RunFailed, match="/nowhere/python cannot be started"):
        flow.p.with_options(stack="wrong")()
    assert time.monotonic() - begun < layout.LEASE


# -- the submitter -----------------------------------------------------------------------------------------------------


def killed_while_slow(elsewhere, programs) -> int:
    """Kill the submitter while a worker elsewhere runs a step; gives the worker's pid."""
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py")
    worker = elsewhere.pid()
    process.kill()
    process.communicate()
    return worker


def test_a_worker_elsewhere_outlives_its_submitter_and_what_it_commits_is_taken_over(elsewhere, programs, until, check_store, store_root) -> None:
    worker = killed_while_slow(elsewhere, programs)
    time.sleep(1)
    assert elsewhere.alive(worker)
    elsewhere.let("go")
    until(lambda: not elsewhere.alive(worker))
    client = Client()
    run = client.list_runs()[0]
    assert {name: step.status.value for name, step in run.steps.items()} == {"first": "completed", "slow": "completed", "after": "interrupted"}
    assert run.status == "interrupted"
    resumed = client.resume(run)
    assert (resumed.status, resumed.steps["after"].output.load()) == ("completed", 42)
    assert executed(elsewhere) == ["first", "slow", "after"]
    assert check_store(store_root) == []
    assert verify(client.ledger).findings == ()


def test_a_worker_elsewhere_whose_run_was_closed_meanwhile_leaves_its_result_to_the_cache(elsewhere, programs, until, check_store, store_root) -> None:
    worker = killed_while_slow(elsewhere, programs)
    client = Client()
    run = client.list_runs()[0]
    assert (run.status, run.steps["slow"].status) == ("interrupted", "interrupted")
    elsewhere.let("go")
    until(lambda: not elsewhere.alive(worker))
    resumed = client.resume(run)
    assert {name: step.status.value for name, step in resumed.steps.items()} == {"first": "completed", "slow": "cached", "after": "completed"}
    assert executed(elsewhere) == ["first", "slow", "after"]
    assert check_store(store_root) == []
    assert verify(client.ledger).findings == ()


def test_a_run_without_its_submitter_is_cancelled_where_it_runs(elsewhere, programs, until) -> None:
    worker = killed_while_slow(elsewhere, programs)
    run_id = next(iter(Client().ledger.records.store.folders(f"runs/{layout.today()}")))
    Client().ledger.run(run_id).ask_to_cancel("asked from another machine, which cannot tell that the submitter has gone")
    until(lambda: not elsewhere.alive(worker), 30)
    assert Client().get_run(run_id).steps["slow"].status == "cancelled"


def test_a_worker_that_outlived_its_run_can_be_cancelled_after_the_run_was_closed(elsewhere, programs, until) -> None:
    worker = killed_while_slow(elsewhere, programs)
    client = Client()
    run = client.list_runs()[0]
    assert run.status == "interrupted"
    client.cancel(run)
    until(lambda: not elsewhere.alive(worker), 30)
    assert executed(elsewhere) == ["first", "slow"]
