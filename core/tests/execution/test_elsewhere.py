"""Workers elsewhere that die, freeze or are sent away: it is noticed, it is retried where that was asked, and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dovetail import Client, RunFailed
from dovetail.cli.application import run as cli
from dovetail.components import Job
from dovetail.ledger import layout
from dovetail.ledger.verifying import verify
from dovetail.local import step_operator

_DYING = """
    import os, signal, time
    from pathlib import Path
    from dovetail import Retry, get_step_context, log_metrics, pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    @step
    def first() -> int:
        return 20

    def dying_at_first(x):
        log_metrics(attempt=get_step_context().attempt)
        if get_step_context().attempt == 1:
            print("its last words")
            time.sleep(2.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return x * 2

    @step
    def once(x: int) -> int:
        return dying_at_first(x)

    @step(retry=Retry(max_retries=1))
    def twice(x: int) -> int:
        return dying_at_first(x)

    @step(retry=Retry(max_retries=2, on=ValueError))
    def on_value_errors(x: int) -> int:
        return dying_at_first(x)

    @step
    def after(x: int) -> int:
        return x + 2

    @pipeline
    def p(which: str = "once"):
        after({"once": once, "twice": twice, "on_value_errors": on_value_errors}[which](first(), id="dying"))
"""


def sound(check_store, store_root: Path) -> bool:
    assert check_store(store_root) == []
    assert verify(Client().ledger).findings == ()
    return True


def test_a_worker_that_is_killed_fails_its_step_and_says_how_it_ended_with_its_last_words(elsewhere, make_module, check_store, store_root) -> None:
    with pytest.raises(RunFailed, match="WorkerLost.*exit code -9"):
        make_module(_DYING).p()
    run = Client().list_runs()[0]
    assert (run.status, run.steps["dying"].status, run.steps["after"].status) == ("failed", "failed", "skipped")
    assert run.steps["dying"].error["type"] == "dovetail.errors:WorkerLost"
    assert "its last words" in run.steps["dying"].error["message"]
    assert run.steps["dying"].log() == "its last words\n"
    assert sound(check_store, store_root)


def test_the_log_of_a_lost_worker_ends_with_what_the_engine_knew_of_it(elsewhere, make_module, monkeypatch, capsys) -> None:
    with pytest.raises(RunFailed):
        make_module(_DYING).p()
    monkeypatch.delenv("DOVETAIL_QUIET")
    capsys.readouterr()
    assert cli(["runs", "logs", "latest"]) == 0
    assert "Step 'dying': The worker of step 'dying' ended with exit code -9" in capsys.readouterr().err


def first_attempt(run, name: str) -> dict:
    return Client().ledger.run(run.id).attempt(name, 1, "ended")["error"]


@pytest.fixture
def short_leases(monkeypatch) -> None:
    """In this process, which drives; the workers beat each second."""
    monkeypatch.setattr(layout, "HEARTBEAT", 1.0)
    monkeypatch.setattr(layout, "LEASE", 5.0)


@pytest.mark.parametrize("which", ["twice", "on_value_errors"])
def test_a_step_whose_worker_was_killed_is_retried_whatever_errors_it_is_retried_on(elsewhere, make_module, check_store, store_root, which) -> None:
    run = make_module(_DYING).p(which)
    dying = run.steps["dying"]
    assert (run.status, dying.attempts, dying.output.load(), dying.metrics) == ("completed", 2, 40, {"attempt": 2.0})
    assert run.steps["after"].output.load() == 42
    assert dying.outcome["attempt"] == 2
    assert first_attempt(run, "dying")["type"] == "dovetail.errors:WorkerLost"
    assert sound(check_store, store_root)


_TROUBLED = """
    import ctypes, os, signal, threading, time
    from pathlib import Path
    from dovetail import Retry, get_step_context, pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    def at_first(trouble):
        (PLACE / "pid").write_text(str(os.getpid()))
        number = get_step_context().attempt
        if number == 1:
            trouble()
        return number

    def freezes():
        os.kill(os.getpid(), signal.SIGSTOP)

    def is_sent_away():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(100)

    def leaves():
        os._exit(75)

    def sleeps():
        while True:
            time.sleep(0.05)

    def blocks_signals():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
        time.sleep(100)

    def leaves_a_thread():
        threading.Thread(target=time.sleep, args=(600,)).start()

    def holds_the_interpreter():
        ctypes.PyDLL(None).sleep(100)

    @step
    def once(trouble: str) -> int:
        return at_first(globals()[trouble])

    @step(retry=Retry(max_retries=1))
    def twice(trouble: str) -> int:
        return at_first(globals()[trouble])

    @step(timeout=3, retry=Retry(max_retries=1))
    def timed(trouble: str) -> int:
        return at_first(globals()[trouble])

    @step(timeout=3)
    def timed_once(trouble: str) -> int:
        return at_first(globals()[trouble])

    @pipeline
    def p(which: str, trouble: str):
        {"once": once, "twice": twice, "timed": timed, "timed_once": timed_once}[which](trouble, id="troubled")
        if "WIDE" in os.environ:
            once("sleeps", id="beside")

    if __name__ == "__main__":
        import sys
        p(*sys.argv[1:])
"""


def test_a_worker_that_froze_is_noticed_by_its_silence_and_the_next_attempt_counts(elsewhere, make_module, short_leases, check_store, store_root) -> None:
    run = make_module(_TROUBLED).p("twice", "freezes")
    assert (run.steps["troubled"].attempts, run.steps["troubled"].output.load()) == (2, 2)
    assert "has not been heard of for" in first_attempt(run, "troubled")["message"]
    assert sound(check_store, store_root)


@pytest.mark.parametrize(("which", "status"), [("once", "failed"), ("twice", "completed")])
def test_a_frozen_worker_that_wakes_up_later_changes_nothing(
    elsewhere, make_module, short_leases, monkeypatch, check_store, store_root, which, status
) -> None:
    kept: list[step_operator._ProcessInFolder] = []
    start = step_operator.LocalStepOperator.start
    with monkeypatch.context() as powerless:  # an engine that cannot end it
        powerless.setattr(step_operator.LocalStepOperator, "start", lambda self, job: kept.append(start(self, job)) or kept[-1])
        powerless.setattr(step_operator._ProcessInFolder, "stop", lambda self: None)
        powerless.setattr(step_operator._ProcessInFolder, "close", lambda self: None)
        try:
            make_module(_TROUBLED).p(which, "freezes")
        except RunFailed:
            assert status == "failed"
    run = Client().list_runs()[0]
    before = Client().ledger.run(run.id).outcome("troubled")
    kept[0].process.send_signal(signal.SIGCONT)
    kept[0].process.wait(60)
    for running in kept:
        running.close()
    assert Client().ledger.run(run.id).outcome("troubled") == before
    assert (Client().get_run(run.id).status, before["status"], before["attempt"]) == (status, status, len(kept))
    assert [found.load() for found in Client().list_artifacts("p.troubled.output")] == ([2] if status == "completed" else [])


def test_a_worker_that_its_engine_sends_away_is_lost_and_retried(elsewhere, make_module, check_store, store_root) -> None:
    run = make_module(_TROUBLED).p("twice", "is_sent_away")
    assert (run.status, run.steps["troubled"].attempts, run.steps["troubled"].output.load()) == ("completed", 2, 2)
    error = first_attempt(run, "troubled")
    assert (error["type"], "The engine asked the worker to end" in error["message"]) == ("dovetail.errors:WorkerLost", True)
    assert sound(check_store, store_root)


def test_a_worker_whose_step_left_a_thread_is_ended_once_its_outcome_is_there(elsewhere, make_module, short_leases) -> None:
    flow = make_module(_TROUBLED)
    run = flow.p("twice", "leaves_a_thread")
    assert (run.status, run.steps["troubled"].output.load()) == ("completed", 1)


def test_a_process_that_ends_as_if_it_were_to_be_tried_again_is_not_believed(elsewhere, make_module) -> None:
    with pytest.raises(RunFailed, match="exit code 75 before the step did"):
        make_module(_TROUBLED).p("once", "leaves")
    assert Client().list_runs()[0].steps["troubled"].attempts == 1


def test_a_step_that_outlives_its_timeout_elsewhere_is_ended_and_says_so(elsewhere, make_module) -> None:
    with pytest.raises(RunFailed, match="longer than its timeout of 3 s"):
        make_module(_TROUBLED).p("timed_once", "sleeps")
    assert Client().list_runs()[0].steps["troubled"].error["type"] == "dovetail.errors:StepTimeout"
    assert not elsewhere.alive(elsewhere.pid())


@pytest.mark.parametrize("trouble", ["sleeps", "blocks_signals", "holds_the_interpreter"])
def test_a_timeout_ends_whatever_a_step_does_and_is_retried_where_that_was_asked(elsewhere, make_module, short_leases, trouble) -> None:
    run = make_module(_TROUBLED).p("timed", trouble)
    assert (run.status, run.steps["troubled"].attempts, run.steps["troubled"].output.load()) == ("completed", 2, 2)
    assert first_attempt(run, "troubled")["type"] == "dovetail.errors:StepTimeout"


@pytest.mark.parametrize(("trouble", "by"), [("sleeps", "client"), ("holds_the_interpreter", "command"), ("blocks_signals", "ctrl-c"), ("sleeps", "ctrl-c"), ("sleeps", "ctrl-c while two run")])
def test_a_cancelled_run_ends_its_workers_elsewhere_within_seconds(elsewhere, programs, until, check_store, store_root, trouble, by) -> None:
    programs.write("flow.py", _TROUBLED)
    process = programs.start("flow.py", "twice", trouble, env={"WIDE": "yes"} if "two" in by else {})
    worker = elsewhere.pid()
    run = Client().list_runs()[0]
    if by.startswith("ctrl-c"):
        process.send_signal(signal.SIGINT)
    elif by == "client":
        Client().cancel(run)
    else:
        programs.run("-c", f"import sys; sys.argv = ['dovetail', 'runs', 'cancel', {run.id!r}]; from dovetail.cli import main; main()")
    _, err = process.communicate(timeout=40)
    assert process.returncode == (-signal.SIGINT if by.startswith("ctrl-c") else 1), err
    until(lambda: not elsewhere.alive(worker), 20)
    found = Client().get_run(run.id)
    assert (found.status, found.steps["troubled"].status, found.steps["troubled"].attempts) == ("cancelled", "cancelled", 1)
    assert {step.status.value for step in found.steps.values()} == {"cancelled"}
    assert sound(check_store, store_root)


def test_a_process_that_is_stopped_takes_along_what_it_started(elsewhere, until) -> None:
    code = f"import subprocess, time; p = subprocess.Popen(['sleep', '600']); open({str(elsewhere.place / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(600)"
    running = step_operator.LocalStepOperator().start(Job("with-a-child", ["-c", code]))
    child = elsewhere.pid()
    running.stop()
    running.close()
    until(lambda: not elsewhere.alive(child))

