"""Runs that another process carries on: detached, resumed, and on another stack."""

from __future__ import annotations

import os
import signal
import time

import pytest

from dovetail import Client, RunFailed, pipeline, step
from dovetail.errors import ConfigurationError

_FLOW = """
    import os, sys, time
    from pathlib import Path
    from dovetail import pipeline, step

    def executed(name):
        with open("executed.txt", "a") as file:
            file.write(name + "\\n")

    @step
    def first() -> int:
        executed("first")
        return 1

    @step
    def second(x: int) -> list[int]:
        executed("second")
        Path("begun").touch()
        while Path("hold").exists():
            time.sleep(0.02)
        if Path("break").exists():
            raise ValueError("broken on purpose")
        return [x, os.getpid(), os.getsid(0)]

    @step
    def third(x: list[int]) -> list[int]:
        executed("third")
        return x

    def told_success():
        executed("hook success")

    def told_failure(error):
        executed("hook failure")

    @pipeline(on_success=told_success, on_failure=told_failure)
    def p():
        third(second(first()))

    if __name__ == "__main__":
        print(p.with_options(wait=False)().id, flush=True)
        time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


def executed(programs) -> list[str]:
    return (programs.folder / "executed.txt").read_text().split("\n")[:-1]


def test_a_detached_run_survives_the_process_that_started_it_in_a_session_of_its_own(programs) -> None:
    programs.write("flow.py", _FLOW)
    (programs.folder / "hold").touch()
    process = programs.start("flow.py", "60")
    run_id = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    client = Client()
    assert not client.get_run(run_id).status.is_final
    (programs.folder / "hold").unlink()
    run = client.wait(run_id, timeout=30)
    _, pid, session = run.steps["third"].output.load()
    assert run.status == "completed"
    assert pid != process.pid and session != os.getsid(0)
    assert executed(programs) == ["first", "second", "third", "hook success"]


def test_a_detached_run_that_fails_is_recorded_as_failed_and_its_hook_is_told(programs) -> None:
    programs.write("flow.py", _FLOW)
    (programs.folder / "break").touch()
    run_id = programs.run("flow.py").strip()
    run = Client().wait(run_id, timeout=30)
    assert run.status == "failed"
    assert run.error == "Step 'second' failed: ValueError: broken on purpose"
    until = time.monotonic() + 10
    while "hook failure" not in executed(programs):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_failed_run_is_resumed_with_the_code_that_it_kept(programs) -> None:
    programs.write("flow.py", _FLOW)
    (programs.folder / "break").touch()
    client = Client()
    failed = client.wait(programs.run("flow.py").strip(), timeout=30)
    (programs.folder / "break").unlink()
    programs.write("flow.py", "raise RuntimeError('edited since')\n")
    resumed = client.resume(failed)
    assert (resumed.status, resumed.resumes, client.get_run(failed.id).status) == ("completed", failed.id, "failed")
    assert resumed.steps["first"].output.digest == failed.steps["first"].output.digest
    assert resumed.steps["first"].output.version == failed.steps["first"].output.version
    assert [line for line in executed(programs) if "hook" not in line] == ["first", "second", "second", "third"]


def test_a_run_that_completed_or_goes_on_cannot_be_resumed(programs) -> None:
    @step
    def one() -> int:
        return 1

    @pipeline
    def p() -> None:
        one()

    run = p()
    with pytest.raises(ConfigurationError, match="has completed, so there is nothing to resume"):
        Client().resume(run)
    programs.write("flow.py", _FLOW)
    (programs.folder / "hold").touch()
    going = programs.run("flow.py").strip()
    with pytest.raises(ConfigurationError, match="still goes on|has not ended"):
        Client().resume(going)
    Client().cancel(going)
    Client().wait(going, timeout=30)


def test_a_run_of_local_steps_cannot_be_resumed_and_says_why() -> None:
    @step
    def fails() -> int:
        raise ValueError("no")

    @pipeline
    def p() -> None:
        fails()

    with pytest.raises(RunFailed) as failed:
        p()
    with pytest.raises(ConfigurationError, match="Define it at module level"):
        Client().resume(failed.value.run)


def test_a_run_interrupted_by_a_kill_is_seen_as_such_at_once_and_resumed(programs, check_store, store_root) -> None:
    programs.write("flow.py", _FLOW.replace("p.with_options(wait=False)().id", "p().id"))
    (programs.folder / "hold").touch()
    process = programs.start("flow.py")
    while not (programs.folder / "begun").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    client = Client()
    run = client.list_runs()[0]
    assert run.status == "interrupted"
    assert [found.status.value for found in run.steps.values()] == ["completed", "interrupted", "interrupted"]
    assert run.steps["second"].why == "the process that drove the run has gone"
    (programs.folder / "hold").unlink()
    assert client.resume(run).status == "completed"
    assert executed(programs)[:4] == ["first", "second", "second", "third"]
    assert check_store(store_root) == []


def test_two_stacks_keep_their_runs_artifacts_and_cache_apart_and_no_code_changes(apply_stack, isolated, monkeypatch) -> None:
    apply_stack(
        "other",
        artifact_store=("local", "elsewhere", {"path": str(isolated / "elsewhere")}),
        experiment_tracker=("local", "lines", {"path": str(isolated / "tracking")}),
    )
    from dovetail import log_metrics

    count: list[int] = []

    @step(enable_cache=True, cache_key="fixed")
    def one() -> int:
        count.append(1) if False else None
        log_metrics(seen=1.0)
        return 1

    @pipeline
    def p() -> None:
        one()

    assert p().status == "completed"
    assert p.with_options(stack="other")().status == "completed"
    monkeypatch.setenv("DOVETAIL_STACK", "other")
    assert p().status == "cached"
    assert p().stack == "other"
    monkeypatch.delenv("DOVETAIL_STACK")
    assert (p().status, p().stack) == ("cached", "default")
    client = Client()
    assert len(client.list_runs()) == 3
    assert len(Client(stack="other").list_runs()) == 3
    client.activate_stack("other")
    assert p().stack == "other"
    assert len(Client().list_runs()) == 4
    assert list((isolated / "tracking").rglob("*.jsonl"))


def test_a_run_resumed_on_another_stack_takes_over_nothing_that_is_not_there(programs, apply_stack, isolated) -> None:
    """A ledger belongs to an artifact store, so a stack with another store does not know the run."""
    apply_stack("other", artifact_store=("local", "elsewhere", {"path": str(isolated / "elsewhere")}))
    programs.write("flow.py", _FLOW)
    (programs.folder / "break").touch()
    failed = Client().wait(programs.run("flow.py").strip(), timeout=30)
    with pytest.raises(ConfigurationError, match=f"no run '{failed.id}'"):
        Client(stack="other").resume(failed.id)


def test_a_run_resumed_on_a_stack_with_the_same_store_uses_that_stacks_components(programs, apply_stack, isolated, store_root) -> None:
    apply_stack(
        "tracked",
        artifact_store=("local", "same", {"path": str(store_root)}),
        orchestrator=("local", "apart", {"processes": True}),
    )
    programs.write("flow.py", _FLOW)
    (programs.folder / "break").touch()
    failed = Client().wait(programs.run("flow.py").strip(), timeout=30)
    (programs.folder / "break").unlink()
    resumed = Client(stack="tracked").resume(failed.id)
    assert (resumed.status, resumed.stack) == ("completed", "tracked")
    assert resumed.steps["first"].output.load() == 1
