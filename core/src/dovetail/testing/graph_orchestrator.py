"""What orchestrators keep that hand a run to an engine with an order of its own."""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

import pytest

from dovetail.components import GraphOrchestrator, JobGraph, RunningJob
from dovetail.testing.orchestrator import OrchestratorContract
from dovetail.testing.trial import Trial, TrialProject
from dovetail.values.plan import Status

_ENDS_WITHIN = 60.0  # seconds in which an engine has to notice that the last job of a graph has ended


LONG_VARIABLE = "DOVETAIL_LONG_TESTS"
_FOR_ALL = frozenset(
    {
        "test_the_record_is_the_local_orchestrators",
        "test_a_second_run_takes_everything_from_the_cache_and_submits_nothing",
        "test_what_a_step_prints_is_kept",
        "test_what_depends_on_a_failed_step_never_runs",
        "test_a_step_whose_process_was_killed_has_failed",
        "test_a_run_that_is_asked_to_stop_stops",
        "test_conditions_hold_or_are_refused",
        "test_a_map_gathers_in_order_or_is_refused",
        "test_a_step_is_retried_or_retries_are_refused",
        "test_a_policy_that_its_clock_cannot_keep_is_refused_before_anything_is_made",
        "test_a_schedule_is_kept_by_the_engine_or_by_the_scheduler",
        "test_a_graph_is_found_again_by_its_address",
        "test_a_graph_that_is_asked_for_again_is_the_one_that_there_is",
    }
)


class GraphOrchestratorContract(OrchestratorContract):
    """Fixtures as for `OrchestratorContract`.

    `slow`: a container for each step makes the whole take many minutes, so that a dozen of the promises are tried unless the variable
    DOVETAIL_LONG_TESTS is set; the others are skipped, and say so. Tests of a plugin's own are always tried.
    """

    slow: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def within_reach(self, request: pytest.FixtureRequest) -> None:
        name = request.node.originalname
        if self.slow and name not in _FOR_ALL and hasattr(GraphOrchestratorContract, name) and not os.environ.get(LONG_VARIABLE):
            pytest.skip(f"one of the promises that are tried with {LONG_VARIABLE}=1")

    def test_a_graph_is_found_again_by_its_address(self, orchestrator: GraphOrchestrator, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.diamond)
        assert run.engine_address is not None
        found = orchestrator.find(run.engine_address)
        assert found.address == run.engine_address
        assert ended(found) == 0

    def test_a_graph_with_a_failed_job_has_failed(self, orchestrator: GraphOrchestrator, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.broken)
        assert run.engine_address is not None
        assert ended(orchestrator.find(run.engine_address)) != 0

    def test_a_graph_that_is_asked_for_again_is_the_one_that_there_is(
        self, orchestrator: GraphOrchestrator, trial: Trial, project: TrialProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start, addresses = type(orchestrator).start, []

        def twice(self: Any, graph: JobGraph) -> RunningJob:
            addresses.append(start(self, graph).address)
            running = start(self, graph)
            addresses.append(running.address)
            return running

        monkeypatch.setattr(type(orchestrator), "start", twice)
        run = trial.run(project.pipelines.counted)
        assert run.status is Status.COMPLETED, run.error
        assert addresses == [run.engine_address] * 2
        assert {name: step.attempts for name, step in run.steps.items()} == dict.fromkeys(run.steps, 1)

    def test_each_job_is_behind_those_that_it_waits_for(
        self, orchestrator: GraphOrchestrator, trial: Trial, project: TrialProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start, graphs = type(orchestrator).start, []

        def noted(self: Any, graph: JobGraph) -> RunningJob:
            graphs.append(graph)
            return start(self, graph)

        monkeypatch.setattr(type(orchestrator), "start", noted)
        trial.run(project.pipelines.diamond)
        names = [job.name for job in graphs[0].jobs]
        assert all(names.index(before) < names.index(job.name) for job in graphs[0].jobs for before in job.after)
        assert any(job.after for job in graphs[0].jobs)


def ended(running: RunningJob) -> int:
    until = time.monotonic() + _ENDS_WITHIN
    while (code := running.wait(1.0)) is None:
        assert time.monotonic() < until, "the graph did not end"
    return code
