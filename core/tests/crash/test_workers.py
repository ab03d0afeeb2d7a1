"""A worker whose driver was killed: its outcome counts, or is refused; never both, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from dovetail import Client
from dovetail.ledger.verifying import verify

_FLOW = """
    import os, sys, time
    from pathlib import Path
    from typing import Annotated
    from dovetail import pipeline, step

    def executed(name):
        with open("executed.txt", "a") as file:
            file.write(name + "\\n")

    @step
    def first() -> int:
        executed("first")
        return 1

    @step(isolated=True)
    def apart(x: int) -> Annotated[list, "made apart"]:
        executed("apart")
        Path("worker").write_text(str(os.getpid()))
        while not Path("go").exists():
            time.sleep(0.01)
        return [x]

    @step
    def last(xs: list) -> int:
        executed("last")
        return len(xs)

    @pipeline
    def p():
        last(apart(first()))

    if __name__ == "__main__":
        p.with_options(wait=len(sys.argv) == 1)()
"""


def until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.fixture
def orphan(programs):
    """A worker in the middle of its step, whose driver has just been killed; gives its pid."""
    programs.write("flow.py", _FLOW)
    process = programs.start("flow.py")
    until((programs.folder / "worker").exists)
    until(lambda: (programs.folder / "worker").read_text().isdigit())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    pid = int((programs.folder / "worker").read_text())
    yield pid
    (programs.folder / "go").touch()
    until(lambda: gone(pid))


def executed(programs) -> list[str]:
    return (programs.folder / "executed.txt").read_text().split()


def test_an_orphan_that_is_late_is_refused_and_its_result_is_taken_from_the_cache(programs, orphan, store_root, check_store) -> None:
    client = Client()
    run = client.list_runs()[0]
    assert run.status == "interrupted"
    (programs.folder / "go").touch()
    until(lambda: gone(orphan))
    assert Client().get_run(run.id).steps["apart"].status == "interrupted"
    assert Client().list_artifacts("made apart") == []
    assert check_store(store_root) == []
    resumed = client.resume(run)
    assert {name: found.status.value for name, found in resumed.steps.items()} == {"first": "completed", "apart": "cached", "last": "completed"}
    assert executed(programs) == ["first", "apart", "last"]
    made = Client().get_artifact("made apart")
    assert (made.load(), made.version) == ([1], resumed.steps["apart"].outputs["made apart"].version)
    assert made.producer.run.id == resumed.id
    assert check_store(store_root) == []
    assert verify(client.ledger).findings == ()


def test_an_orphan_that_ends_before_anybody_looks_has_committed(programs, orphan, store_root, check_store) -> None:
    (programs.folder / "go").touch()
    until(lambda: gone(orphan))
    client = Client()
    run = client.list_runs()[0]
    assert {name: found.status.value for name, found in run.steps.items()} == {"first": "completed", "apart": "completed", "last": "interrupted"}
    resumed = client.resume(run)
    assert resumed.status == "completed"
    assert executed(programs) == ["first", "apart", "last"]
    assert check_store(store_root) == []
    assert verify(client.ledger).findings == ()


def test_an_orphan_and_the_run_that_resumes_may_both_go_on_and_nothing_is_there_twice(programs, orphan, store_root, check_store) -> None:
    client = Client()
    resumed = client.resume(client.list_runs()[0], wait=False)
    until(lambda: executed(programs).count("apart") == 2)
    (programs.folder / "go").touch()
    assert client.wait(resumed, timeout=30).status == "completed"
    until(lambda: gone(orphan))
    assert [found.load() for found in Client().list_artifacts("made apart")] == [[1]]
    assert Client().get_run(resumed.id).steps["apart"].status == "completed"
    assert check_store(store_root) == []
    assert verify(client.ledger).findings == ()


def test_a_detached_driver_that_is_killed_leaves_an_interrupted_run(programs, store_root, check_store) -> None:
    programs.write("flow.py", _FLOW)
    programs.run("flow.py", "detached")
    until((programs.folder / "worker").exists)
    run = Client().list_runs()[0]
    heartbeat = json.loads(next(store_root.glob("runs/*/*/heartbeat")).read_text())
    assert not run.status.is_final
    os.kill(heartbeat["pid"], signal.SIGKILL)
    until(lambda: gone(heartbeat["pid"]))
    assert Client().get_run(run.id).status == "interrupted"
    (programs.folder / "go").touch()
    until(lambda: gone(int((programs.folder / "worker").read_text())))
    assert check_store(store_root) == []
