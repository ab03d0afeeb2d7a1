"""The first process of a job's container starts a worker again that was lost, and tells SageMaker what it should know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dovetail_aws import sagemaker_entry as entry


def entered(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "dovetail_aws.sagemaker_entry", *arguments]).returncode


def test_a_worker_that_was_lost_is_started_again_as_often_as_it_may(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import pathlib, os; p = pathlib.Path({str(mark)!r}); n = len(p.read_text()) if p.exists() else 0; p.write_text('x' * (n + 1)); n < 2 and os.kill(os.getpid(), 9)"
    assert entered(entry.RETRIES, "1", "-c", code) == 128 + 9
    assert mark.read_text() == "xx"
    assert entered(entry.RETRIES, "1", "-c", code) == 0
    assert mark.read_text() == "xxx"


@pytest.mark.parametrize("code", [1, 2])
def test_a_worker_that_failed_is_not_started_again(tmp_path: Path, code: int) -> None:
    mark = tmp_path / "mark"
    assert entered(entry.RETRIES, "3", "-c", f"open({str(mark)!r}, 'a').write('x'); raise SystemExit({code})") == code
    assert mark.read_text() == "x"


def test_a_failure_is_no_failure_of_the_job_where_the_others_are_to_go_on() -> None:
    assert entered(entry.GO_ON, "-c", "raise SystemExit(1)") == 0
    assert entered(entry.GO_ON, "-c", "raise SystemExit(2)") == 2
    assert entered(entry.RETRIES, "1", entry.GO_ON, "-c", "raise SystemExit(75)") == 75


def test_its_options_come_before_pieces_of_a_command() -> None:
    assert entered(entry.RETRIES, "1", entry.GO_ON, entry.PIECES, entry.packed(["-c", "raise SystemExit(75)"])) == 75
