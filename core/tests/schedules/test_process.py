"""`dovetail scheduler` as it is used: real processes on a real store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, Schedule
from dovetail.ledger.ticks import Ticks

MAIN = ("-c", "from dovetail.cli import main; main()")
SOON = 75.0  # seconds in which the next minute begins, and a run of it
EACH_MINUTE = Schedule(cron="* * * * *")


@pytest.fixture
def start(programs: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        started.append(programs.start(*MAIN, "scheduler", *arguments))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(true: Callable[[], Any], seconds: float = SOON) -> None:
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last, "it did not come"
        time.sleep(0.1)


def test_schedulers_one_of_which_is_killed_start_the_runs_of_a_schedule_and_end_cleanly(scheduled: Any, start: Any, programs: Any) -> None:
    scheduled(EACH_MINUTE, "2026-03-01 00:30", seconds=4.0)
    first, killed = start(), start()
    assert "looks after the schedules of artifact store 'default'" in first.stdout.readline()
    killed.stdout.readline()
    until(lambda: any("run" in claim for claim in _claims()))  # what was missed before is made up at once
    killed.kill()
    (run,) = Client().list_runs()
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert "runs that it started go on" in first.stdout.read()
    assert Client().wait(run, timeout=60).status == "completed"
    assert run.tags == ("scheduled",)


def test_a_scheduler_that_is_killed_between_claim_and_start_is_made_good_by_the_next(scheduled: Any, programs: Any) -> None:
    scheduled(Schedule(cron="0 3 1 * *"), _days_ago(31))
    programs.write(
        "dies.py",
        """
        import os, signal
        from dovetail import Client
        from dovetail.execution.scheduler import Scheduler

        Scheduler(Client().workspace, print, start=lambda *_: os.kill(os.getpid(), signal.SIGKILL)).look()
        """,
    )
    programs.run("dies.py", code=-signal.SIGKILL)
    ticks = Ticks(Client().ledger.records, "p")
    (claim,) = ticks.newest()
    assert Client().list_runs() == []
    programs.run(*MAIN, "scheduler", "--once")
    (run,) = Client().list_runs()
    assert (run.id, list(ticks.newest())) == (claim["run"], [claim])
    assert Client().wait(run, timeout=60).status == "completed"


def _claims() -> list[dict[str, Any]]:
    return [claim for claim in Ticks(Client().ledger.records, "p").newest() if Client().ledger.run(claim.get("run", "0" * 26)).header()]


def test_once_starts_what_is_due_and_says_it(scheduled: Any, programs: Any) -> None:
    scheduled(Schedule(cron="0 3 1 * *"), _days_ago(31))
    said = programs.run(*MAIN, "scheduler", "--once")
    (run,) = Client().list_runs()
    assert re.search(rf"^\S+ p: the tick of .* UTC: run {run.id} is started$", said, re.MULTILINE)
    assert programs.run(*MAIN, "scheduler", "--once") == ""
    assert Client().wait(run, timeout=60).status == "completed"


def _days_ago(days: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() - days * 86_400))


def test_ctrl_c_ends_it(scheduled: Any, start: Any) -> None:
    scheduled(Schedule(cron="0 3 29 2 *"), "2026-03-01 00:30")
    process = start()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_a_schedule_whose_plugin_is_not_here_says_so_and_keeps_no_other_from_running(scheduled: Any, make_module: Any, isolated: Path, programs: Any) -> None:
    place = scheduled(EACH_MINUTE, "2026-03-01 00:30")
    record = place.workspace.ledger.records.get("schedules/p/1.json")
    stack = record["plan"]["stack"]
    components = {**stack["components"], "alerter": {"flavor": "slack", "name": "s", "configuration": {}}}
    foreign = {**record, "name": "q", "plan": {**record["plan"], "pipeline": "q", "stack": {**stack, "components": components}}}
    place.workspace.ledger.records.create("schedules/q/1.json", foreign)
    wrong = {**record, "name": "r", "cron": "61 * * * *"}
    place.workspace.ledger.records.create("schedules/r/1.json", wrong)
    said = programs.run(*MAIN, "scheduler", "--once")
    assert [run.pipeline for run in Client().list_runs()] == ["p"]
    assert re.search(r"q: There is no alerter flavor 'slack'.*dovetail plugin install slack", said)
    assert re.search(r"r: The cron expression '61 \* \* \* \*' cannot be kept: .*Schedule the pipeline again", said)


def test_a_run_whose_code_cannot_be_found_is_told_of(scheduled: Any, programs: Any) -> None:
    place = scheduled(Schedule(cron="0 3 1 * *"), _days_ago(31))
    record = place.workspace.ledger.records.get("schedules/p/1.json")
    place.workspace.ledger.records.append("schedules/p", {**record, "plan": {**record["plan"], "package": "0" * 64}})
    said = programs.run(*MAIN, "scheduler", "--once", code=1)
    assert "makes no run: The code that the schedule of pipeline 'p' kept is not in the store any more. Schedule it again." in said
    assert Client().list_runs() == []
    shown = json.loads(programs.run(*MAIN, "schedules", "show", "p", "--output", "json"))
    assert shown["ticks"][0]["result"] == "not begun"


def test_a_store_that_cannot_be_reached_is_said_once_and_tried_again(scheduled: Any, start: Any, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.execution.scheduler import keep_looking

    place, said, waits = scheduled(Schedule(cron="0 * * * *"), "2026-03-01 00:30"), [], []
    scheduler, look = place.scheduler(), []

    def away() -> float | None:
        look.append(1)
        if len(look) < 4:
            raise ConnectionError("no route to the store")
        return None

    monkeypatch.setattr(scheduler, "look", away)
    keep_looking(scheduler, lambda seconds: waits.append(seconds) or len(waits) == 5, said.append)  # type: ignore[func-returns-value]
    assert said == ["the schedules cannot be read, and are tried again every 10 s: no route to the store", "the schedules can be read again"]
    assert waits == [10.0] * 5


def test_it_needs_little_while_it_waits(scheduled: Any, start: Any, unmeasured: None) -> None:
    scheduled(Schedule(cron="0 3 29 2 *"), "2026-03-01 00:30")
    process = start()
    process.stdout.readline()
    time.sleep(1.0)
    place = Path(f"/proc/{process.pid}")
    if not place.exists():
        pytest.skip("this system does not tell of processes by /proc")
    resident = int(re.search(r"VmRSS:\s+(\d+)", (place / "status").read_text())[1]) / 1024  # type: ignore[index]
    assert resident < 100, f"{resident:.0f} MiB"
    before = _cpu(place)
    time.sleep(3.0)
    assert _cpu(place) - before < 0.1


def _cpu(place: Path) -> float:
    fields = (place / "stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
