"""A run that is asked to stop, by Ctrl-C or by a client, is closed properly and can be resumed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from dovetail import Client, RunFailed, pipeline, step
from dovetail.errors import ConfigurationError

_FLOW = """
    import sys, time
    from pathlib import Path
    from dovetail import RunFailed, pipeline, step

    def executed(name):
        with open("executed.txt", "a") as file:
            file.write(name + "\\n")

    @step
    def quick() -> int:
        executed("quick")
        return 1

    @step
    def slow(x: int, n: int = 0) -> int:
        executed(f"slow{n}")
        Path(f"begun{n}").touch()
        if Path("let go").exists():
            return x
        for _ in range(400):
            time.sleep(0.05)
        return x

    @step(isolated=True)
    def apart(x: int) -> int:
        Path("begun0").touch()
        time.sleep(20)
        return x

    @step
    def deaf(x: int, n: int = 0) -> int:
        Path(f"begun{n}").touch()
        time.sleep(60)  # one call that no exception ends
        return x

    @step
    def after(x: int) -> int:
        executed("after")
        return x

    @pipeline
    def chain():
        after(slow(quick()))

    @pipeline
    def wide():
        one = quick()
        after(slow(one, 0))
        slow(one, 1)

    @pipeline
    def wide_and_deaf():
        one = quick()
        after(deaf(one, 0))
        deaf(one, 1)

    @pipeline
    def deaf_chain():
        after(deaf(quick()))

    @pipeline
    def in_process():
        after(apart(quick()))

    if __name__ == "__main__":
        try:
            globals()[sys.argv[1]]()
        except KeyboardInterrupt:
            print("interrupted")
            sys.exit(130)
        except RunFailed as error:
            print(error)
            sys.exit(1)
"""


def wait_for(path: Path, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} did not appear"
        time.sleep(0.01)


@pytest.mark.parametrize(("name", "begun"), [("chain", ["begun0"]), ("wide", ["begun0", "begun1"]), ("in_process", ["begun0"])])
def test_ctrl_c_closes_the_run_as_cancelled_and_what_completed_is_kept(programs, check_store, store_root, name, begun) -> None:
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py", name)
    for marker in begun:
        wait_for(programs.folder / marker)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert out == "interrupted\n"
    run = Client().list_runs()[0]
    statuses = {found.name: found.status.value for found in run.steps.values()}
    assert run.status == "cancelled"
    assert statuses.pop("quick") == "completed"
    assert set(statuses.values()) == {"cancelled"}
    assert check_store(store_root) == []


def test_a_cancelled_run_can_be_resumed_without_repeating_what_completed(programs) -> None:
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py", "chain")
    wait_for(programs.folder / "begun0")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    (programs.folder / "let go").touch()
    cancelled = Client().list_runs()[0]
    resumed = Client().resume(cancelled)
    assert (resumed.status, resumed.resumes) == ("completed", cancelled.id)
    assert Client().get_run(cancelled.id).status == "cancelled"
    assert (programs.folder / "executed.txt").read_text().split() == ["quick", "slow0", "slow0", "after"]


@pytest.mark.parametrize("name", ["chain", "wide", "in_process"])
def test_a_client_cancels_a_run_that_another_process_drives(programs, name) -> None:
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py", name)
    wait_for(programs.folder / "begun0")
    client = Client()
    run = client.list_runs()[0]
    assert run.status == "running"
    client.cancel(run, reason="no longer wanted")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    ended = Client().get_run(run.id)
    assert ended.status == "cancelled"
    assert ended.steps["quick"].status == "completed"
    assert ended.steps["after"].status == "cancelled"


# Python 3.11 comes to a halt when functions are traced while an exception waits for a thread that sleeps.
_untraced = pytest.mark.usefixtures("unmeasured")


@_untraced
@pytest.mark.parametrize("signals", [1, 2])
def test_steps_that_cannot_be_stopped_do_not_keep_the_program_from_ending(programs, check_store, store_root, signals) -> None:
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py", "wide_and_deaf")
    for marker in ("begun0", "begun1"):
        wait_for(programs.folder / marker)
    started = time.monotonic()
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert time.monotonic() - started < (15 if signals == 1 else 4)
    run = Client().list_runs()[0]
    assert {name: found.status.value for name, found in run.steps.items()} == {
        "quick": "completed", "deaf": "cancelled", "after": "cancelled", "deaf_2": "cancelled",
    }  # fmt: skip
    assert check_store(store_root) == []


@_untraced
@pytest.mark.parametrize("name", ["wide_and_deaf", "deaf_chain"])
def test_a_client_cancels_a_run_whose_steps_cannot_be_stopped(programs, name) -> None:
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py", name)
    wait_for(programs.folder / "begun0")
    client = Client()
    client.cancel(client.list_runs()[0])
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    assert "interrupted" not in out
    assert Client().list_runs()[0].status == "cancelled"


def test_a_run_that_has_ended_cannot_be_cancelled() -> None:
    @step
    def one() -> int:
        return 1

    @pipeline
    def p() -> None:
        one()

    run = p()
    with pytest.raises(ConfigurationError, match="has ended already"):
        Client().cancel(run)


def test_keyboard_interrupt_raised_by_a_step_cancels_the_run() -> None:
    @step
    def stops() -> int:
        raise KeyboardInterrupt

    @step
    def after(x: int) -> int:
        return x

    @pipeline
    def p() -> None:
        after(stops())

    with pytest.raises((KeyboardInterrupt, RunFailed)):
        p()
    run = Client().list_runs()[0]
    assert run.status == "cancelled"
    assert [found.status.value for found in run.steps.values()] == ["cancelled", "cancelled"]


def test_a_worker_is_gone_when_its_run_was_cancelled(programs) -> None:
    programs.write("flow.py", _FLOW.replace('Path("begun0").touch()\n        time.sleep(20)', 'import os; Path("pid").write_text(str(os.getpid())); Path("begun0").touch(); time.sleep(20)'))
    process = programs.start("flow.py", "in_process")
    wait_for(programs.folder / "begun0")
    worker = int((programs.folder / "pid").read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text()
