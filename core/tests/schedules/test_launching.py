"""The process of a run is its own: it needs nothing of the scheduler's folder, and leaves nothing behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, Schedule
from dovetail.errors import DefinitionError

MAIN = ("-c", "from dovetail.cli import main; main()")


def _days_ago(days: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() - days * 86_400))


def test_a_scheduler_whose_folder_was_removed_makes_runs(scheduled: Any, programs: Any) -> None:
    scheduled(Schedule(cron="0 3 1 * *"), _days_ago(31))
    programs.write(
        "folder_goes.py",
        """
        import os, time
        from pathlib import Path
        from dovetail import Client
        from dovetail.execution.scheduler import Scheduler

        gone = Path("gone")
        gone.mkdir()
        scheduler = Scheduler(Client().workspace, lambda name, text: print(text))
        os.chdir(gone)
        os.rmdir(os.getcwd())
        until = time.monotonic() + 60
        scheduler.look()
        while not scheduler.is_settled and time.monotonic() < until:
            time.sleep(0.1)
            scheduler.look()
        """,
    )
    said = programs.run("folder_goes.py")
    assert "makes no run" not in said
    (run,) = Client().list_runs()
    assert Client().wait(run, timeout=60).status == "completed"


def test_the_log_of_a_run_that_completed_goes_without_a_scheduler(scheduled: Any, programs: Any, isolated: Path) -> None:
    scheduled(Schedule(cron="0 3 1 * *"), _days_ago(31))
    programs.run(*MAIN, "scheduler", "--once")
    (run,) = Client().list_runs()
    assert Client().wait(run, timeout=60).status == "completed"
    last = time.monotonic() + 20
    while list((isolated / "cache" / "scheduled").iterdir()) and time.monotonic() < last:
        time.sleep(0.1)
    assert not list((isolated / "cache" / "scheduled").iterdir())


@pytest.mark.parametrize("cron", ["*/90 * * * *", "0 */36 * * *", "5-10/61 * * * *"])
def test_a_step_that_is_longer_than_its_field_is_refused(cron: str) -> None:
    """Such a schedule would come with each hour or day, and not as it says."""
    with pytest.raises(DefinitionError, match="steps by more than there is"):
        Schedule(cron)


@pytest.mark.parametrize("cron", ["*/60 * * * *", "0 */24 * * *", "0 0 */31 * *", "0 0 * */12 *", "0 0 * * */7"])
def test_a_step_of_a_whole_field_is_read(cron: str) -> None:
    assert Schedule(cron).cron == cron
