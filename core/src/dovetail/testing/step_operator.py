"""What every step operator keeps: one worker for each job, given what it was to have, heard of until it ends, and never a failure that is swallowed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import ArtifactStore, Job, RunningJob, StepOperator
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.contract import Contract
from dovetail.testing.trial import TrialProject
from dovetail.values.plan import Status

_ENDS_WITHIN = 120.0  # seconds in which a short job has to end
_LONG = "import time; time.sleep(600)"
_ODD = "größe 'quoted' \"twice\" $HOME `id` \\ & ; 数据"


class StepOperatorContract(Contract):
    """Fixture `operator`: the one to try. Fixture `store`: where runs go, if its workers cannot reach this machine's files."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return LocalArtifactStore(path=tmp_path / "store")

    # -- one job -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("code", [0, 1, 75])
    def test_the_exit_code_is_the_workers(self, operator: StepOperator, code: int) -> None:
        with started(operator, f"raise SystemExit({code})", f"code-{code}") as running:
            assert ended(running) == code

    def test_variables_and_secrets_arrive_as_they_are(self, operator: StepOperator) -> None:
        given = {"variables": {"DOVETAIL_CONTRACT_A": _ODD}, "secrets": {"DOVETAIL_CONTRACT_B": _ODD[::-1]}, "credentials": {"DOVETAIL_CONTRACT_C": ""}}
        wanted = {name: value for each in given.values() for name, value in each.items()}
        question = f"import os, sys; sys.exit({{n: os.environ.get(n) for n in {list(wanted)!r}}} != {wanted!r})"
        with started(operator, question, "variables", **given) as running:
            assert ended(running) == 0, running.explain()

    def test_secrets_show_nowhere(self, operator: StepOperator) -> None:
        with started(operator, "print(1)", "secrets", secrets={"DOVETAIL_CONTRACT_B": "a-planted-secret"}) as running:
            ended(running)
            assert "a-planted-secret" not in f"{running.address} {running.explain()} {running!r}"

    def test_folders_of_the_job_are_seen_where_it_says_so(self, operator: StepOperator, tmp_path: Path) -> None:
        if not operator.shares_folders():
            return
        (tmp_path / "given").mkdir()
        (tmp_path / "given" / "here").write_text("yes", encoding="utf-8")
        question = f"p = {str(tmp_path / 'given')!r}; assert open(p + '/here').read() == 'yes'; open(p + '/back', 'w').write('yes')"
        with started(operator, question, "folders", folders=[tmp_path / "given"]) as running:
            assert ended(running) == 0, running.explain()
        assert (tmp_path / "given" / "back").read_text(encoding="utf-8") == "yes"

    def test_waiting_returns_when_its_time_is_over(self, operator: StepOperator) -> None:
        with started(operator, _LONG, "waiting") as running:
            begun = time.monotonic()
            assert running.wait(0.3) is None
            assert time.monotonic() - begun < 30

    def test_a_stopped_job_ends_and_says_so(self, operator: StepOperator) -> None:
        with started(operator, _LONG, "stopped") as running:
            assert running.wait(0.2) is None
            running.stop()
            assert ended(running) != 0
            running.stop()

    def test_what_it_said_last_is_told(self, operator: StepOperator) -> None:
        with started(operator, "raise SystemExit('no more flour')", "saying") as running:
            assert ended(running) == 1
            assert "no more flour" in running.explain()

    def test_a_job_that_there_is_already_is_not_started_again(self, operator: StepOperator) -> None:
        with started(operator, _LONG, "again") as running:
            again = operator.start(job_of(_LONG, running_name("again")))
            again.stop()
            if again is not running:
                again.close()
            assert again.address == running.address

    def test_a_job_that_failed_is_not_started_again_by_the_engine(self, operator: StepOperator, tmp_path: Path) -> None:
        """A run makes another attempt where that was asked for, and as another job."""
        if not operator.shares_folders():
            return
        (tmp_path / "given").mkdir()
        question = f"open({str(tmp_path / 'given' / 'count')!r}, 'a').write('once '); raise SystemExit(3)"
        with started(operator, question, "failed", folders=[tmp_path / "given"]) as running:
            assert ended(running) == 3
            assert running.wait(1.0) == 3
            assert (tmp_path / "given" / "count").read_text(encoding="utf-8") == "once "

    def test_its_address_tells_it_from_others(self, operator: StepOperator) -> None:
        with started(operator, "pass", "one") as one, started(operator, "pass", "other") as other:
            assert one.address != other.address

    # -- steps ---------------------------------------------------------------------------------------------------------

    def test_a_step_runs_there_and_what_follows_has_its_output(self, operator: StepOperator, store: ArtifactStore, project: TrialProject) -> None:
        run = project.on(LocalOrchestrator(), store, operator).run(project.pipelines.operated)
        assert run.status is Status.COMPLETED, run.error
        assert run.steps["here"].output.load() == 16

    def test_a_failure_there_is_never_swallowed(self, operator: StepOperator, store: ArtifactStore, project: TrialProject) -> None:
        run = project.on(LocalOrchestrator(), store, operator).run(project.pipelines.operated_badly)
        error = run.steps["failing"].error
        assert error is not None
        assert (run.status, error["type"], error["message"]) == (Status.FAILED, "builtins:ValueError", "no more flour (2)")

    def test_a_worker_that_was_killed_has_failed(self, operator: StepOperator, store: ArtifactStore, project: TrialProject) -> None:
        run = project.on(LocalOrchestrator(), store, operator).run(project.pipelines.operated_and_killed)
        assert run.steps["killed"].status is Status.FAILED
        assert "exit code" in str(run.steps["killed"].error)


_number = time.time_ns()


def running_name(name: str) -> str:
    return f"{name}-{_number}"


def job_of(code: str, name: str, **given: Any) -> Job:
    return Job(name, ["-c", code], labels={"dovetail.contract": name}, **given)


@contextmanager
def started(operator: StepOperator, code: str, name: str, **given: Any) -> Iterator[RunningJob]:
    running = operator.start(job_of(code, running_name(name), **given))
    try:
        yield running
    finally:
        running.stop()
        running.close()


def ended(running: RunningJob) -> int:
    until = time.monotonic() + _ENDS_WITHIN
    while (code := running.wait(1.0)) is None:
        assert time.monotonic() < until, "the job did not end"
    return code
