"""A step whose inputs are there, and the ways to run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from dovetail.components.job import Job, RunningJob
from dovetail.components.step_operator import StepOperator
from dovetail.errors import DovetailError, RunCancelled, StepFailed
from dovetail.execution.attempt import Attempt, commit, ending, give_up, settle, told_error
from dovetail.execution.jobs import Watch, job_here, job_of, started
from dovetail.execution.naming import artifact_name
from dovetail.execution.pool import WorkerPool
from dovetail.execution.work import RunInfo
from dovetail.graph.definition import StepDefinition
from dovetail.ledger.runs import RunRecords
from dovetail.planning.preflight import needs_process
from dovetail.planning.workspace import Workspace, run_address, runner_of
from dovetail.values.plan import PlanStep, Status
from dovetail.values.settings import Resources


class Behind(Protocol):
    """What a task needs of the run that it belongs to."""

    workspace: Workspace
    info: RunInfo
    records: RunRecords
    pool: WorkerPool

    def definition(self, step: PlanStep) -> StepDefinition: ...
    def cancelled(self) -> bool: ...
    def process_wide_state(self, step: PlanStep) -> bool: ...
    def tell(self, event: str, step: PlanStep, **facts: Any) -> None: ...


@dataclass
class StepTask:
    """`alone`: nothing else runs or could start while it does. `made`: attempts that were made of it before. After it ran, `outcome` is set, and `error` if it raised."""

    driver: Behind
    step: PlanStep
    inputs: Mapping[str, Any]
    key: str | None
    alone: bool = False
    made: int = 0
    outcome: dict[str, Any] | None = None
    error: BaseException | None = None
    _elsewhere: bool = False

    @property
    def invocation(self) -> str:
        return self.step.invocation

    @property
    def resources(self) -> Resources:
        return self.step.resources

    @property
    def needs_process(self) -> bool:
        return needs_process(self.step) or (not self.alone and self.changes_process)

    @property
    def changes_process(self) -> bool:
        """Whether running it changes what all steps of a process share."""
        return bool(self.step.environment.env) or self.driver.process_wide_state(self.step)

    def write_part(self) -> None:
        """Store what the worker of this step reads."""
        info = self.driver.info
        if self._elsewhere:
            info = replace(info, stack=self.driver.workspace.stack.anchored_snapshot())
        versions = self.driver.workspace.ledger.versions
        names = [artifact_name(info, self.step, spec) for spec in self.step.node.outputs]
        seen = {name: number for name in names if (number := versions.seen_of(name))}
        part = {"seen": seen, "run": info.to_json(), "step": self.step.to_json(), "inputs": dict(self.inputs), "key": self.key}
        self.driver.records.write_part(self.invocation, part)

    def start(self, by_orchestrator: Callable[[StepTask], None]) -> None:
        """Have it run by the stack's step operator if it asks for that, else by the orchestrator."""
        runner = runner_of(self.driver.workspace, self.step.options)
        if isinstance(runner, StepOperator):
            self.run_by(runner.start, runner.component_type)
        else:
            by_orchestrator(self)

    def run_here(self) -> None:
        definition = self.driver.definition(self.step)
        number = 0
        while self.outcome is None:
            number += 1
            self.outcome, self.error = settle(
                Attempt(self.driver.workspace, self.driver.info, self.step, definition, self.inputs, self.key, number)
            )
            if self.outcome is None:
                self._wait_before(number)

    def run_in_process(self) -> None:
        self._run_away(self._ask_process)

    def run_by(self, start: Callable[[Job], RunningJob], component_type: str = "orchestrator") -> None:
        self._elsewhere = True
        self._run_away(partial(self._ask_engine, start, component_type, partial(job_of, component_type=component_type)))

    def run_beside(self, start: Callable[[Job], RunningJob]) -> None:
        """Have its worker run as a process beside this one, which is the engine's job for it."""
        self._elsewhere = True
        self._run_away(partial(self._ask_engine, start, "orchestrator", job_here))

    def _run_away(self, ask: Callable[[int], Mapping[str, Any]]) -> None:
        """Have attempts made by another process, which answers whether another is to follow or that the outcome is there."""
        self.write_part()
        number = self.made
        while self.outcome is None:
            number += 1
            try:
                answer = ask(number)
            except DovetailError as error:
                self._died(number, error.with_traceback(None))  # none of the frames is the user's
            else:
                self._answered(number, answer)
            if self.outcome is None:
                self._wait_before(number)

    def _ask_process(self, number: int) -> Mapping[str, Any]:
        task = {"address": run_address(self.driver.workspace, self.driver.info.run_id), "invocation": self.invocation, "attempt": number}
        return self.driver.pool.run(task, self.step.timeout, self.driver.cancelled, self.step.environment.env)

    def _ask_engine(
        self, start: Callable[[Job], RunningJob], component_type: str, job_for: Callable[[Workspace, RunInfo, PlanStep, int], Job], number: int
    ) -> Mapping[str, Any]:
        driver, stack = self.driver, self.driver.workspace.stack
        job = job_for(driver.workspace, driver.info, self.step, number)
        watch = Watch(driver.records, job, self.invocation, number, driver.cancelled, stack.secrets())
        return watch.until_it_ends(started(start, job, driver.cancelled), {component_type: stack.components[component_type].name})

    def _answered(self, number: int, answer: Mapping[str, Any]) -> None:
        if answer.get("retry"):
            self.error = StepFailed(str(answer.get("error")))
            return
        self.outcome = answer.get("outcome") or self.driver.records.outcome(self.invocation)
        if self.outcome is None:
            self._died(number, StepFailed(f"The worker of step '{self.invocation}' could not run it: {answer.get('error', 'it said nothing')}"))
        elif self.outcome["status"] == Status.COMPLETED:
            self.error = None  # that of an earlier attempt
        else:
            error = self.outcome.get("error", {})
            self.error = StepFailed(f"{error.get('type', '').rpartition(':')[2]}: {error.get('message', '')}")

    def _died(self, number: int, error: BaseException) -> None:
        """Commit for a worker that could not, unless another attempt follows or it had committed after all."""
        self.error = RunCancelled("the run was asked to stop") if self.driver.cancelled() else error
        self.outcome = give_up(self.driver.workspace, self.driver.info, self.step, number, self.inputs, self.error)

    def fail(self, error: BaseException) -> None:
        """Commit that it could not be run, because of the orchestrator or the store, or that it was stopped outside its function."""
        self.error = error
        now = time.time()
        outcome = {
            "status": ending(error).value, "started": now, "ended": now, "inputs": dict(self.inputs), "outputs": {},
            "error": told_error(self.driver.workspace, error),
        }  # fmt: skip
        try:
            self._commit(outcome)
        except OSError:
            self.outcome = outcome  # the store is away or full; a reader closes the step when it is back

    def _commit(self, outcome: dict[str, Any]) -> None:
        won = commit(self.driver.workspace, self.driver.info, self.step, None, outcome)
        self.outcome = outcome if won else self.driver.records.outcome(self.invocation)

    def _wait_before(self, number: int) -> None:
        self.driver.tell("dovetail_step_retried", self.step, attempt=number + 1, error=str(self.error))
        until = time.monotonic() + self.step.retry.seconds_before(number)
        while time.monotonic() < until and not self.driver.cancelled():
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))
