"""kill -9, a full disk or a failing one at any file operation: what is left is whole, is seen for what it is, and can be resumed.

The sweeps below are strided so that they take seconds; `DOVETAIL_CRASH_FULL=1` breaks every operation of every mode.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FULL = bool(os.environ.get("DOVETAIL_CRASH_FULL"))
MOST = 100_000
FAR = ("FAULT", "FAULTS", "FAULT_FIRED", "EXECUTED", "PYTHONPATH")  # what the step operator hands to its workers


@pytest.fixture
def sweep(programs, isolated):
    """The results of a sweep; the first N that did not fire is the last of them where the sweep went on so far."""
    template = isolated / "crash" / "template"
    (template / "stacks").mkdir(parents=True)
    (template / "stacks" / "crash.yaml").write_text(f"""
name: crash
components:
  orchestrator: default
  artifact_store: default
  experiment_tracker: {{type: local, name: lines, configuration: {{path: {isolated / "tracking"}}}}}
  step_operator: {{type: local, name: afar, configuration: {{variables: {{{", ".join(f"{name}: '${{{name}}}'" for name in FAR)}}}}}}}
""")

    def run(pipeline: str, mode: str, what: str = "run", start: int = 1, stride: int = 1, limit: int = MOST, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
        if FULL:
            start, stride, limit = 1, 1, MOST
        begun = time.monotonic()
        arguments = [str(HERE / "sweep.py"), str(isolated / "crash"), pipeline, mode, what, str(start), str(stride), str(limit)]
        process = programs.start(*arguments, env=env)
        out, err = process.communicate(timeout=7200 if FULL else 900)
        assert process.returncode == 0, err[-3000:]
        results = [json.loads(line) for line in out.splitlines()]
        print(f"{pipeline} {mode} {what}: {len(results)} cases in {time.monotonic() - begun:.1f} s")
        wrong = [result for result in results if result["problems"]]
        assert not wrong, json.dumps(wrong[:3], indent=1)[:6000] + f"\n{len(wrong)} of {len(results)}: {[result['n'] for result in wrong]}"
        return results

    return run


def every_fault_fired(results: list[dict[str, Any]], at_least: int) -> None:
    """Up to the end of the scenario, which the sweep must have reached."""
    fired = [result["n"] for result in results if result["fired"]]
    assert len(fired) >= at_least
    assert any(not result["fired"] for result in results), "the sweep ended before the scenario did"
    first_after = min(result["n"] for result in results if not result["fired"])
    assert all(number < first_after + 60 for number in fired)


def test_a_kill_at_any_file_operation_of_a_run_loses_and_repeats_nothing(sweep) -> None:
    results = sweep("whole", "kill", stride=4)
    every_fault_fired(results, at_least=70)
    assert {"interrupted", None} <= {result["seen"] for result in results}


def test_a_kill_in_the_middle_of_a_write_leaves_nothing_that_is_half(sweep) -> None:
    every_fault_fired(sweep("whole", "torn", stride=7), at_least=8)


@pytest.mark.parametrize("mode", ["enospc", "eio"])
def test_an_error_at_any_file_operation_loses_and_repeats_nothing(sweep, mode) -> None:
    results = sweep("whole", mode, start=2 if mode == "eio" else 1, stride=13)
    every_fault_fired(results, at_least=20)
    assert {result["seen"] for result in results} <= {"completed", "failed", "interrupted", None}


def test_a_kill_of_the_process_that_resumes_can_be_resumed_as_well(sweep) -> None:
    every_fault_fired(sweep("whole", "kill", "resume", stride=5), at_least=30)


def test_a_kill_or_an_error_in_the_reader_that_closes_a_run_hinders_no_other_reader(sweep) -> None:
    every_fault_fired(sweep("whole", "kill", "read", stride=3), at_least=5)
    every_fault_fired(sweep("whole", "enospc", "read", stride=5), at_least=3)


def test_a_run_that_fails_and_is_killed_at_any_moment_can_be_resumed_once_the_cause_is_gone(sweep) -> None:
    results = sweep("whole", "kill", stride=13, env={"BREAK_FIRST": "1"})
    assert "failed" in {result["seen"] for result in results}
    assert len(results) >= 15


def test_a_kill_of_the_driver_of_a_worker_process_loses_and_repeats_nothing(sweep) -> None:
    every_fault_fired(sweep("with_worker", "kill", stride=9), at_least=8)


@pytest.mark.parametrize("mode", ["kill", "enospc"])
def test_a_fault_in_a_worker_process_loses_and_repeats_nothing(sweep, mode) -> None:
    results = sweep("with_worker", mode, "worker", stride=2 if mode == "kill" else 5)
    every_fault_fired(results, at_least=10 if mode == "kill" else 4)
    assert {result["seen"] for result in results} <= {"completed", "failed"}


def test_a_kill_of_the_driver_while_a_worker_elsewhere_goes_on_loses_and_repeats_nothing(sweep) -> None:
    every_fault_fired(sweep("with_operator", "kill", stride=11), at_least=10)


def test_a_kill_of_a_worker_elsewhere_loses_and_repeats_nothing(sweep) -> None:
    results = sweep("with_operator", "kill", "worker", stride=3)
    every_fault_fired(results, at_least=6)
    assert {result["seen"] for result in results} <= {"completed", "failed"}


def test_ctrl_c_at_any_file_operation_closes_the_run_or_leaves_it_to_the_next_reader(sweep) -> None:
    results = sweep("whole", "sigint", start=3, stride=9)
    every_fault_fired(results, at_least=25)
    assert sum(result["seen"] == "cancelled" for result in results) > len(results) / 2
