"""What every orchestrator keeps: pipelines run on it as they do on the local one, and it can do what it states and no more."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dovetail.client.views import Run
from dovetail.components import ArtifactStore, Capability, Orchestrator
from dovetail.errors import DefinitionError, DovetailError, PreflightFailed
from dovetail.execution.scheduling import end_schedule, schedules
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.contract import Contract
from dovetail.testing.run_record import described, failed_as_asked, started_behind
from dovetail.testing.trial import Trial, TrialProject
from dovetail.values.plan import Plan, Status
from dovetail.values.settings import Schedule

_ENDS_WITHIN = 120.0  # seconds in which a run that was told to stop has to


class OrchestratorContract(Contract):
    """Fixture `orchestrator`: the one to try. Fixture `store`: where runs go, if steps cannot reach this machine's files."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return LocalArtifactStore(path=tmp_path / "store")

    @pytest.fixture
    def trial(self, orchestrator: Orchestrator, store: ArtifactStore, project: TrialProject) -> Trial:
        return project.on(orchestrator, store)

    @pytest.fixture
    def reference(self, project: TrialProject, tmp_path: Path) -> Trial:
        """The local orchestrator on a store of its own, in the same project."""
        return project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "reference"))

    # -- values and order ----------------------------------------------------------------------------------------------

    def test_what_fans_out_comes_together_again(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.fan, width=6)
        assert run.status is Status.COMPLETED, run.error
        assert run.steps["total"].output.load() == sum(6 * number for number in range(6))

    def test_a_chain_hands_each_value_on(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.chain, length=5)
        assert run.status is Status.COMPLETED, run.error
        assert [step.output.load() for step in run.steps.values()] == [2, 4, 8, 16, 32]

    def test_each_of_several_outputs_goes_where_it_is_meant(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.diamond)
        assert (run.steps["left"].output.load(), run.steps["right"].output.load()) == (18, 33)

    def test_a_step_never_runs_before_its_inputs(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.layers)
        assert run.status is Status.COMPLETED, run.error
        assert started_behind(run) == {}

    def test_a_step_waits_for_what_it_is_placed_after(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.placed)
        assert run.status is Status.COMPLETED, run.error
        assert started_behind(run) == {}

    def test_every_step_runs_once(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.counted)
        assert {name: step.attempts for name, step in run.steps.items()} == dict.fromkeys(run.steps, 1)
        marks = ("first_0", "first_1", "first_2", "last")
        versions = trial.client.ledger.versions  # by the next number that is free: what a second run of a step left is void, and not listed
        times = {mark: versions.claim_artifact(mark, {"digest": run.steps[mark].output.digest, "at": 0}) - 1 for mark in marks}
        assert times == dict.fromkeys(marks, 1)

    def test_a_second_run_takes_everything_from_the_cache_and_submits_nothing(
        self, trial: Trial, project: TrialProject, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = trial.run(project.pipelines.fan)
        submitted: list[Any] = []
        monkeypatch.setattr(orchestrator, "submit", lambda *given: submitted.append(given))
        second = trial.run(project.pipelines.fan)
        assert {step.status for step in second.steps.values()} == {Status.CACHED}
        assert second.steps["total"].output.digest == first.steps["total"].output.digest
        assert submitted == []

    def test_the_record_is_the_local_orchestrators(self, trial: Trial, reference: Trial, project: TrialProject) -> None:
        for name in ("diamond", "layers", "broken", "talkative"):
            pipeline = getattr(project.pipelines, name)
            assert described(trial.run(pipeline)) == described(reference.run(pipeline)), name

    # -- what a step says ----------------------------------------------------------------------------------------------

    def test_what_a_step_prints_is_kept(self, trial: Trial, project: TrialProject) -> None:
        log = trial.run(project.pipelines.talkative).steps["chatty"].log()
        assert [line for line in log.splitlines() if "größe" in line] == [f"line {number} of größe" for number in range(3)]

    def test_what_a_step_logs_is_kept(self, trial: Trial, project: TrialProject) -> None:
        step = trial.run(project.pipelines.talkative).steps["logging_step"]
        assert step.params == {"rate": 0.5, "kind": "linear", "value": 7}
        assert [(value, number) for value, number, _ in step.metric_history("loss")] == [(1.0, 0), (0.5, 1), (1 / 3, 2)]
        assert step.metrics["score"] == 0.75
        assert step.metadata == {"source": "contract"}

    # -- failures ------------------------------------------------------------------------------------------------------

    def test_a_failed_step_is_never_swallowed(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.broken)
        assert run.status is Status.FAILED
        assert run.steps["failing"].status is Status.FAILED

    def test_the_error_of_a_failed_step_is_kept(self, trial: Trial, project: TrialProject) -> None:
        error = trial.run(project.pipelines.broken).steps["failing"].error
        assert error is not None
        assert (error["type"], error["message"]) == ("builtins:ValueError", "no more flour (2)")
        assert "raise ValueError" in error["traceback"]

    def test_what_depends_on_a_failed_step_never_runs(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.broken)
        assert {name: step.status for name, step in run.steps.items()} == {
            "before": Status.COMPLETED,
            "failing": Status.FAILED,
            "behind": Status.SKIPPED,
            "further_behind": Status.SKIPPED,
        }
        assert run.steps["behind"].attempts == 0

    def test_nothing_starts_after_a_failure(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.beside)
        assert run.status is Status.FAILED
        assert run.steps["after_slow"].status is Status.SKIPPED

    def test_what_does_not_depend_on_a_failure_goes_on_when_the_policy_says_so(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.beside.with_options(failure_policy="continue"), seconds=0.1)
        assert run.status is Status.FAILED
        assert run.steps["after_slow"].status is Status.COMPLETED

    def test_a_step_whose_process_was_killed_has_failed(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.dying, caller=os.getpid())
        assert run.steps["killed"].status is Status.FAILED
        assert run.steps["scaled"].status is Status.SKIPPED
        assert "this step was to have" not in (run.error or "")

    def test_a_run_that_is_asked_to_stop_stops(self, trial: Trial, project: TrialProject) -> None:
        def stop(event: str, facts: Mapping[str, Any]) -> None:
            if event == "dovetail_step_started":
                trial.client.cancel(facts["run"])

        runs: list[Run] = []
        thread = threading.Thread(target=lambda: runs.append(trial.run(project.pipelines.long, stop)), daemon=True)
        thread.start()
        thread.join(_ENDS_WITHIN)
        assert runs, "the run had been asked to stop, and still went on"
        assert runs[0].status is Status.CANCELLED
        assert runs[0].steps["scaled"].attempts == 0

    # -- what it states it can, and what it does not -------------------------------------------------------------------

    def test_conditions_hold_or_are_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.CONDITIONS, project.pipelines.branching, "conditions", threshold=1):
            return
        for threshold, expected in ((7, ["source", "above"]), (20, ["source", "below", "further_below"])):
            run = trial.run(project.pipelines.branching, threshold=threshold)
            assert run.status is Status.COMPLETED, run.error
            assert [name for name, step in run.steps.items() if step.status is not Status.SKIPPED] == expected

    def test_a_map_gathers_in_order_or_is_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.MAP, project.pipelines.mapped, "map"):
            return
        run = trial.run(project.pipelines.mapped, count=4)
        assert run.steps["total"].output.load() == 18
        assert [(child.name, child.output.load()) for child in run.steps["scaled"].children] == [
            (f"scaled.{number}", 3 * number) for number in range(4)
        ]
        assert run.steps["scaled"].output.load() == [0, 3, 6, 9]
        assert trial.run(project.pipelines.mapped, count=0).steps["scaled"].output.load() == []

    def test_a_failed_child_fails_its_map(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.MAP, project.pipelines.mapped_with_failure, "map"):
            return
        run = trial.run(project.pipelines.mapped_with_failure)
        assert [run.steps[name].status for name in ("fails_on.1", "fails_on", "total")] == [
            Status.FAILED,
            Status.FAILED,
            Status.SKIPPED,
        ]
        assert run.status is Status.FAILED

    def test_a_step_is_retried_or_retries_are_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.RETRIES, project.pipelines.retried, "retry"):
            return
        run = trial.run(project.pipelines.retried, succeeds_at=3)
        assert run.status is Status.COMPLETED, run.error
        assert (run.steps["flaky"].attempts, run.steps["flaky"].output.load()) == (3, 3)

    def test_retries_end_and_leave_the_failure(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.RETRIES, project.pipelines.retried, "retry"):
            return
        run = trial.run(project.pipelines.retried, succeeds_at=9)
        assert failed_as_asked(run.steps["flaky"], "builtins:ConnectionError", attempts=3)
        assert failed_as_asked(
            trial.run(project.pipelines.not_retried).steps["fails_otherwise"], "builtins:ValueError", attempts=1
        )

    def test_a_timeout_ends_a_step_or_is_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.TIMEOUTS, project.pipelines.timed, "timeout"):
            return
        step = trial.run(project.pipelines.timed).steps["endless"]
        assert failed_as_asked(step, "dovetail.errors:StepTimeout")
        assert step.seconds is not None
        assert step.seconds < 50, "the step slept its 60 seconds in spite of its timeout of one"
        assert trial.run(project.pipelines.in_time).status is Status.COMPLETED

    def test_variables_are_set_for_one_step_alone_or_are_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(
            trial, Capability.ENVIRONMENT_VARIABLES, project.pipelines.with_variables, "environment.env", seconds=1.0
        ):
            return
        run = trial.run(project.pipelines.with_variables, seconds=30.0 if self._states(trial, Capability.PARALLEL) else 0.1)
        seen = {name: [step.outputs["before"].load(), step.outputs["after"].load()] for name, step in run.steps.items()}
        assert seen == {"a": ["for a", "for a"], "b": ["for b", "for b"], "c": ["", ""]}

    def test_steps_run_at_once_if_it_states_so_and_else_never(self, trial: Trial, project: TrialProject) -> None:
        parallel = self._states(trial, Capability.PARALLEL)
        run = trial.run(project.pipelines.at_once, seconds=60.0 if parallel else 2.0)
        assert [run.steps[name].output.load() for name in ("a", "b")] == [parallel, parallel]

    def test_resources_bound_what_runs_at_once_or_are_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.RESOURCES, project.pipelines.greedy, "resources", cpu=0.1):
            return
        most = self._orchestrator(trial).capacity()
        if most is None or most.cpu is None:
            assert trial.run(project.pipelines.greedy, cpu=0.1).status is Status.COMPLETED
            return
        run = trial.run(project.pipelines.competing, cpu=0.6 * most.cpu, seconds=1.0)
        assert [run.steps[name].output.load() for name in ("a", "b")] == [False, False], "more was given than there is"
        if self._states(trial, Capability.PARALLEL):
            run = trial.run(project.pipelines.competing, cpu=0.4 * most.cpu, seconds=60.0)
            assert [run.steps[name].output.load() for name in ("a", "b")] == [True, True], "what there is was not given"

    def test_a_step_that_asks_for_more_than_there_is_is_refused(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.RESOURCES, project.pipelines.greedy, "resources", cpu=0.1):
            return
        most = self._orchestrator(trial).capacity()
        if most is None or most.cpu is None:
            plan = self._planned(trial, project.pipelines.greedy, cpu=1000)  # None where no machine of its has as much
            assert plan is None or plan.step("scaled").resources.cpu == 1000
            return
        with pytest.raises(PreflightFailed, match="asks for cpu"):
            trial.plan(project.pipelines.greedy, cpu=most.cpu + 1)

    def test_gpus_are_planned_for_or_refused(self, trial: Trial, project: TrialProject) -> None:
        if not self._refuses(trial, Capability.GPUS, project.pipelines.graphical, "resources.gpu"):
            assert trial.plan(project.pipelines.graphical).step("scaled").resources.gpu == 1

    def test_a_step_that_asks_for_a_gpu_has_one_or_does_not_run(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.GPUS, project.pipelines.looking_for_a_gpu, "resources.gpu"):
            return
        run = self._tried(trial, project.pipelines.looking_for_a_gpu)
        assert run is None or run.status is Status.FAILED or run.steps["sees_gpu"].output.load(), "it ran without the GPU that it asked for"

    def test_an_environment_that_cannot_be_made_lets_no_step_run(self, trial: Trial, project: TrialProject) -> None:
        if self._refuses(trial, Capability.ENVIRONMENTS, project.pipelines.with_no_such_python, "environment"):
            return
        run = self._tried(trial, project.pipelines.with_no_such_python)
        assert run is None or run.status is Status.FAILED, "it ran in an environment that it did not ask for"

    def test_steps_run_elsewhere_if_it_states_so(self, trial: Trial, project: TrialProject) -> None:
        run = trial.run(project.pipelines.somewhere)
        assert run.status is Status.COMPLETED, run.error
        here = f"{socket.gethostname()} {os.getpid()}"
        assert not self._states(trial, Capability.REMOTE) or run.steps["whereabouts"].output.load() != here, "it states REMOTE, and ran in this process"

    def test_a_schedule_is_kept_by_the_engine_or_by_the_scheduler(self, trial: Trial, project: TrialProject) -> None:
        pipeline, has_clock = project.pipelines.diamond, self._states(trial, Capability.SCHEDULES)
        trial.schedule(pipeline, Schedule(cron="0 3 * * *"))
        address = trial.schedule(pipeline, Schedule(cron="30 4 * * 1", timezone="Europe/Berlin"))
        assert bool(address) == has_clock, "who has a clock keeps the schedule, and who has none does not"
        (record,) = schedules(trial.client.ledger)
        kept = (record["cron"], record["timezone"], record.get("address"), record.get("kept_by"))
        assert kept == ("30 4 * * 1", "Europe/Berlin", *((address, None) if has_clock else (None, "scheduler")))
        end_schedule(pipeline.name, trial.workspace)
        assert list(schedules(trial.client.ledger)) == []

    def test_a_policy_that_its_clock_cannot_keep_is_refused_before_anything_is_made(self, trial: Trial, project: TrialProject) -> None:
        pipeline, everything = project.pipelines.diamond, Schedule(cron="0 3 * * *", missed="all")
        if self._states(trial, Capability.SCHEDULES):
            with pytest.raises(DefinitionError, match=f"missed='all'.*{self._orchestrator(trial).name}"):
                trial.schedule(pipeline, everything)
            assert list(schedules(trial.client.ledger)) == []
        else:
            trial.schedule(pipeline, everything)
            assert [record["missed"] for record in schedules(trial.client.ledger)] == ["all"]

    def test_an_environment_is_made_or_refused(self, trial: Trial, project: TrialProject) -> None:
        if not self._refuses(trial, Capability.ENVIRONMENTS, project.pipelines.with_python, "environment"):
            run = self._tried(trial, project.pipelines.with_python)  # an engine of containers refuses it without an image builder beside it
            assert run is None or run.status is Status.COMPLETED, run.error

    def test_a_setting_that_the_stack_waives_stops_no_run(
        self, orchestrator: Orchestrator, store: ArtifactStore, project: TrialProject
    ) -> None:
        trial = project.on(orchestrator, store, waive=("resources.gpu",))
        assert trial.plan(project.pipelines.graphical).step("scaled").resources.gpu == 1
        assert trial.run(project.pipelines.graphical).status is Status.COMPLETED

    def test_its_own_check_finds_nothing_wrong(self, orchestrator: Orchestrator) -> None:
        assert orchestrator.check() == []

    # ------------------------------------------------------------------------------------------------------------------

    def _orchestrator(self, trial: Trial) -> Orchestrator:
        made = trial.workspace.stack.build(Orchestrator)
        assert made is not None
        return made

    def _states(self, trial: Trial, capability: Capability) -> bool:
        return capability in self._orchestrator(trial).capabilities

    def _tried(self, trial: Trial, pipeline: Any) -> Run | None:
        """The run; None where it was refused before it began."""
        try:
            return trial.run(pipeline)
        except DovetailError:
            return None

    def _planned(self, trial: Trial, pipeline: Any, **parameters: Any) -> Plan | None:
        """The plan; None where it was refused."""
        try:
            return trial.plan(pipeline, **parameters)
        except PreflightFailed:
            return None

    def _refuses(self, trial: Trial, capability: Capability, pipeline: Any, setting: str, **parameters: Any) -> bool:
        """Whether the capability is not stated; then the plan has to be refused, naming the setting and who cannot honour it."""
        if self._states(trial, capability):
            return False
        with pytest.raises(
            PreflightFailed, match=re.escape(f"sets {setting}, which orchestrator '{self._orchestrator(trial).name}'")
        ):
            trial.plan(pipeline, **parameters)
        return True
