"""Keeps a run's order: what is ready, what is skipped, what failed, what is mapped; and tells of it."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dovetail.components.job import JobGraph, RunningJob
from dovetail.components.orchestrator import Task
from dovetail.errors import RunCancelled
from dovetail.execution.attempt import commit
from dovetail.execution.cached import cached_outcome, mirror_again
from dovetail.execution.jobs import INTERRUPTED
from dovetail.execution.mapping import gathered_outcome, items_of
from dovetail.execution.pool import WorkerPool
from dovetail.execution.resuming import committed_before
from dovetail.execution.surroundings import to_itself
from dovetail.execution.tasks import StepTask
from dovetail.execution.threads import StepThreads
from dovetail.execution.work import RunInfo
from dovetail.graph.definition import StepDefinition
from dovetail.graph.references import holds
from dovetail.planning.keys import key_of, resolve
from dovetail.planning.planner import look_up
from dovetail.planning.workspace import Workspace, active_instead
from dovetail.values.encoding import decode
from dovetail.values.graph import Node
from dovetail.values.plan import Decision, Plan, PlanStep, Status
from dovetail.values.settings import Resources

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from dovetail.execution.following import Following

Listener = Callable[[str, Mapping[str, Any]], None]
_WRITERS = 16  # records that are on their way to a store at once
_PATIENCE = 5.0  # seconds that running steps have to end once the run is asked to stop
_ENDED_BADLY = (Status.FAILED, Status.CANCELLED, Status.INTERRUPTED)


class Driver:
    """Drives one run in this process. `outcomes` holds what each invocation came to, by name."""

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        definitions: Callable[[PlanStep], StepDefinition],
        listeners: Iterable[Listener] = (),
        *,
        outcomes: Mapping[str, dict[str, Any]] | None = None,
        whole_maps: bool = False,
    ) -> None:
        """`outcomes`: of steps that ended before, or elsewhere. `whole_maps`: mapped steps are expanded elsewhere."""
        self.workspace = workspace
        self.plan = plan
        self.info = RunInfo.of(plan)
        self.records = workspace.ledger.run(plan.run_id)
        self.outcomes: dict[str, dict[str, Any]] = dict(outcomes or {})
        self.first_error: BaseException | None = None
        self.failed: str | None = None
        self.pool = WorkerPool()
        self._definitions = definitions
        self._listeners = tuple(listeners)
        self._steps = {step.invocation: step for step in plan.steps}
        self._downstream: dict[str, list[str]] = {}
        self._waiting: dict[str, int] = {}
        self._ready: deque[str] = deque()
        self._children: dict[str, list[str]] = {}
        self._running: dict[str, StepTask] = {}
        self._pending: deque[StepTask] = deque()
        self._done: queue.SimpleQueue[StepTask | None] = queue.SimpleQueue()
        self._threads: StepThreads | None = None
        self._writers: Executor | None = None
        self._writing: dict[str, Future[bool]] = {}
        self._whole_maps = whole_maps
        self._handed: Following | None = None
        self._cancel = threading.Event()
        self._patience = 0.0
        self._stop_at_failure = plan.options.get("failure_policy", "stop") == "stop"
        self._wire()

    def _wire(self) -> None:
        for step in self.plan.steps:
            upstream = {name for name, _ in step.node.upstream() if name not in self.outcomes}
            self._waiting[step.invocation] = len(upstream)
            for name in upstream:
                self._downstream.setdefault(name, []).append(step.invocation)
            if not upstream:
                self._ready.append(step.invocation)

    def definition(self, step: PlanStep) -> StepDefinition:
        return self._definitions(step)

    def cancel(self) -> None:
        """Start nothing more; steps that run have a few seconds to end."""
        if not self._cancel.is_set():
            self._patience = time.monotonic() + _PATIENCE
            self._cancel.set()
            self._done.put(None)  # wakes the loop

    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def process_wide_state(self, step: PlanStep) -> bool:
        """Whether a component that the step uses changes what all steps of a process share."""
        tracker: Any = self.workspace.stack.build("experiment_tracker")
        return tracker is not None and bool(tracker.process_wide_state)

    def tell(self, event: str, step: PlanStep, **facts: Any) -> None:
        self.announce(event, {"step": step.invocation, **facts})

    def announce(self, event: str, facts: Mapping[str, Any]) -> None:
        """Tell the listeners of this run, then every observer among the plugins."""
        told = {"run": self.plan.run_id, "name": self.plan.run_name, "pipeline": self.plan.pipeline, "stack": self.plan.stack["name"], **facts}
        for listener in self._listeners:
            listener(event, told)
        with active_instead(lambda *_: self.workspace.stack):  # what an observer asks the client, it asks of this run's own stack
            self.workspace.registry.observe(event, told)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether any step has to run or runs, once everything that need not is settled."""
        self._pending.extend(self._startable())
        return bool(self._pending or self._running or (self._handed is not None and self.left()))

    @property
    def is_handed_over(self) -> bool:
        """Whether an engine carries the run out, whatever becomes of this process."""
        return self._handed is not None

    def drive(self, start: Callable[[Task], None], *, slots: int, capacity: Resources | None = None) -> None:
        """See RunControl."""
        while self.has_work():
            if self.reason_to_stop() is not None:
                self._drop_pending()
            elif len(self._pending) == 1 and not self._running:
                self._run_inline(start, self._pending.popleft())
                continue
            else:
                self._start(start, slots, capacity)
            if self._running:
                for task in self._that_ended():
                    self._ended(task)

    def hand_over(self, start: Callable[[JobGraph], RunningJob]) -> None:
        """See RunControl."""
        from dovetail.execution.following import Following

        try:
            self._handed = self._handed or Following.begun(self, start)
        except RunCancelled:
            self.records.ask_to_cancel(INTERRUPTED)  # its workers hear of it, if it was started after all
            self.settle_open(Status.CANCELLED, "the run was cancelled")
        else:
            self._handed.until_it_ended()

    def left(self) -> list[PlanStep]:
        """The steps that have no outcome yet."""
        return [step for name, step in self._steps.items() if name not in self.outcomes]

    def ready(self) -> list[PlanStep]:
        """Take the steps that could run, which nothing but an outcome from elsewhere settles any more."""
        self._pending.extend(self._startable())
        taken, self._pending = self._pending, deque()
        return [task.step for task in taken]

    def _that_ended(self) -> Iterable[StepTask]:
        """A step that ended; once the run was asked to stop and its steps had time for it, all that still run."""
        try:
            task = self._done.get(timeout=max(0.0, self._patience - time.monotonic()) if self._cancel.is_set() else None)
        except queue.Empty:
            left = list(self._running.values())
            for task in left:
                task.fail(RunCancelled(f"it still ran {_PATIENCE:g} s after the run was asked to stop, and was left behind"))
            return left
        return [task] if task is not None else []

    def close(self) -> None:
        """Let threads and workers go. Steps that still run were left behind."""
        if self._threads is not None:
            self._threads.close()
        if self._writers is not None:
            self._writers.shutdown()
        self.pool.close()

    def _drop_pending(self) -> None:
        while self._pending:
            self.skip(self._pending.popleft().step, self.reason_to_stop() or "")

    def _run_inline(self, start: Callable[[Task], None], task: StepTask) -> None:
        self._starting(task)
        with to_itself(wanted=task.changes_process) as task.alone:
            _guarded(start, task)
        self._ended(task)

    def _start(self, start: Callable[[Task], None], slots: int, capacity: Resources | None) -> None:
        """Start what there is room for; what is too large now keeps its place."""
        self._threads = self._threads or StepThreads(slots)
        held: list[StepTask] = []
        while self._pending and len(self._running) < slots:
            task = self._pending.popleft()
            if self._fits(task, capacity):
                self._starting(task)
                self._threads.submit(partial(_run_and_report, start, task, self._done), len(self._running) - 1)
            else:
                held.append(task)
        self._pending.extendleft(reversed(held))

    def _fits(self, task: StepTask, capacity: Resources | None) -> bool:
        """Whether the step's resources are free now; a step that is alone always fits."""
        if capacity is None or not self._running:
            return True
        for name in ("cpu", "memory", "gpu"):
            limit, wants = getattr(capacity, name), getattr(task.resources, name) or 0
            used = sum(getattr(other.resources, name) or 0 for other in self._running.values())
            if limit is not None and wants and used + wants > limit:
                return False
        return True

    def _starting(self, task: StepTask) -> None:
        self._running[task.invocation] = task
        self.tell("dovetail_step_started", task.step, status=Status.RUNNING.value, attempt=1)

    def _ended(self, task: StepTask) -> None:
        del self._running[task.invocation]
        assert task.outcome is not None
        if task.error is not None and self.first_error is None:
            self.first_error = task.error
        if isinstance(task.error, KeyboardInterrupt):
            self.cancel()
        self.settle(task.step, task.outcome)

    # -- what becomes ready --------------------------------------------------------------------------------------------

    def _startable(self) -> Iterable[StepTask]:
        """Take everything that is ready; what needs no running is settled here, which may make more ready."""
        while self._ready:
            name = self._ready.popleft()
            try:
                task = self._begin(self._steps[name])
            except Exception:
                self._ready.appendleft(name)  # who follows an engine's graph looks again
                raise
            if task is not None:
                yield task

    def _begin(self, step: PlanStep) -> StepTask | None:
        if step.decision is Decision.TAKEN:
            self._take_over(step)
        elif (reason := self._reason_to_skip(step)) is not None:
            self.skip(step, reason)
        elif step.node.mapped is not None and self._whole_maps:
            return StepTask(self, step, {}, None)
        elif step.node.mapped is not None:
            self._expand(step)
        else:
            return self._task_or_hit(step)
        return None

    def _task_or_hit(self, step: PlanStep) -> StepTask | None:
        inputs: dict[str, Any] = {}
        for name, given in step.node.inputs.items():
            found = resolve(given, self._output)
            if found is None:
                self.skip(step, f"its input '{name}' was not given")
                return None
            inputs[name] = found
        if self._handed is not None:
            return StepTask(self, step, inputs, None)  # its job asks the cache, which may know the result of that very job by now
        key, entry = step.key, step.entry
        if step.decision is Decision.LATER and step.base is not None:
            key = key_of(step.base, inputs)
            entry, _ = look_up(self.workspace, key)
        if entry is None:
            return StepTask(self, step, inputs, key)
        self._from_cache(step, inputs, key, entry)
        return None

    def _reason_to_skip(self, step: PlanStep) -> str | None:
        stopping = self.reason_to_stop()
        if stopping is not None:
            return stopping
        for name, _ in step.node.upstream():
            status = Status(self.outcomes[name]["status"])
            if not status.is_success:
                return f"step '{name}' was skipped" if status is Status.SKIPPED else f"step '{name}' failed"
        for condition in step.node.when:
            if not holds(dict(condition), self._value):
                return "its condition does not hold"
        return None

    def reason_to_stop(self) -> str | None:
        """Why no further step starts."""
        if self._cancel.is_set():
            return "the run was cancelled"
        return f"step '{self.failed}' failed" if self.failed is not None and self._stop_at_failure else None

    def _value(self, given: Mapping[str, Any]) -> Any:
        if "value" in given:
            return decode(given["value"], self.workspace.ledger.artifacts.materializers.resolve)
        output = self._output(given["from"], given["output"])
        return self.workspace.ledger.artifacts.load(output["digest"]) if output is not None else None

    def _output(self, invocation: str, output: str) -> Mapping[str, Any] | None:
        outputs: Mapping[str, Any] = self.outcomes.get(invocation, {}).get("outputs", {})
        return outputs.get(output)

    def skip(self, step: PlanStep, reason: str) -> None:
        cancelled = self._cancel.is_set()
        now = time.time()
        status = Status.CANCELLED if cancelled else Status.SKIPPED
        self._commit(step, None, {"status": status.value, "why": reason, "started": now, "ended": now, "inputs": {}, "outputs": {}})

    def _take_over(self, step: PlanStep) -> None:
        taken = dict(step.entry or {})
        taken.pop("nonce", None)
        self._commit(step, None, {**taken, "taken_from": self.plan.resumes})

    def _from_cache(self, step: PlanStep, inputs: Mapping[str, Any], key: str | None, entry: Mapping[str, Any]) -> None:
        outcome = cached_outcome(self.workspace, self.info, step, inputs, key, entry)
        mirror_again(self.workspace, self.info, step, outcome)
        if self.workspace.store.is_far:
            self._commit_meanwhile(step, outcome)
        else:
            self._commit(step, None, outcome)

    def _commit_meanwhile(self, step: PlanStep, outcome: dict[str, Any]) -> None:
        """Go on while the record is on its way, as nothing depends on it but its being there in the end: see `settled`."""
        if self._writers is None:
            from concurrent.futures import ThreadPoolExecutor

            self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="dovetail-write")
        self._writing[step.invocation] = self._writers.submit(commit, self.workspace, self.info, step, None, outcome)
        self.settle(step, outcome)

    def settled(self) -> None:
        """Wait for records that are on their way. Raises what writing one raised."""
        writing, self._writing = self._writing, {}
        for name, written in writing.items():
            if not written.result():
                self.outcomes[name] = self.records.outcome(name) or self.outcomes[name]

    # -- mapped steps --------------------------------------------------------------------------------------------------

    def _expand(self, step: PlanStep) -> None:
        node = step.node
        assert node.mapped is not None
        items = items_of(self.workspace, resolve(node.inputs[node.mapped], self._output) or {})
        names = [f"{step.invocation}.{number}" for number in range(len(items))]
        self.records.expand(step.invocation, {"children": names})
        self._children[step.invocation] = names
        self._waiting[step.invocation] = sum(name not in self.outcomes for name in names)
        for name, item in zip(names, items, strict=True):
            if name in self.outcomes:
                continue
            child = replace(node, invocation=name, mapped=None, when=(), after=(), inputs={**node.inputs, node.mapped: item})
            self._steps[name] = self._child(step, child)
            self._downstream[name] = [step.invocation]
            self._ready.append(name)
        if not self._waiting[step.invocation]:
            self._gather(step)

    def _child(self, step: PlanStep, node: Node) -> PlanStep:
        """A child's part of the plan; what the run that is resumed committed for the same inputs is taken over."""
        taken = committed_before(self.workspace.ledger, self.plan.resumes, node.invocation)
        if taken is not None:
            inputs = {name: resolve(given, self._output) or {} for name, given in node.inputs.items()}
            if key_of("", inputs) == key_of("", taken["inputs"]):
                return replace(step, node=node, decision=Decision.TAKEN, entry=taken)
        return replace(step, node=node, decision=Decision.LATER)

    def _gather(self, step: PlanStep) -> None:
        names = self._children[step.invocation]
        self.settled()
        self._commit(step, None, gathered_outcome(self.workspace, self.info, step, {name: self.outcomes[name] for name in names}))

    # -- what came of it -----------------------------------------------------------------------------------------------

    def _commit(self, step: PlanStep, key: str | None, outcome: dict[str, Any]) -> None:
        if not commit(self.workspace, self.info, step, key, outcome):
            outcome = self.records.outcome(step.invocation) or outcome
        self.settle(step, outcome)

    def settle(self, step: PlanStep, outcome: dict[str, Any]) -> None:
        """Take an outcome that is recorded."""
        self.outcomes[step.invocation] = outcome
        status = Status(outcome["status"])
        if status in _ENDED_BADLY and self.failed is None:
            self.failed = step.invocation
        facts = {"status": status.value, "attempt": outcome.get("attempt", 1), "seconds": outcome["ended"] - outcome["started"]}
        facts["error"] = None
        if "error" in outcome:
            facts["error"] = f"{outcome['error']['type'].rpartition(':')[2]}: {outcome['error']['message']}"
        if "why" in outcome:
            facts["why"] = outcome["why"]
        self.tell("dovetail_step_finished", step, **facts)
        for name in self._downstream.get(step.invocation, ()):
            self._waiting[name] -= 1
            if self._waiting[name] == 0:
                if name in self._children:
                    self._gather(self._steps[name])
                else:
                    self._ready.append(name)

    def settle_open(self, status: Status, why: str) -> None:
        """Take up what is recorded of steps that were left when the driver was interrupted, and end those of which nothing is."""
        now = time.time()
        for name, step in self._steps.items():
            if name not in self.outcomes:
                commit(self.workspace, self.info, step, None, {"status": status.value, "why": why, "started": now, "ended": now, "inputs": {}, "outputs": {}})
                self.outcomes[name] = self.records.outcome(name) or {}


def _run_and_report(start: Callable[[Task], None], task: StepTask, done: queue.SimpleQueue[StepTask | None]) -> None:
    try:
        _guarded(start, task)
    finally:
        done.put(task)


def _guarded(start: Callable[[Task], None], task: StepTask) -> None:
    """Start a task, and make sure that it has an outcome whatever the orchestrator or the store did."""
    try:
        task.start(start)
    except BaseException as error:  # reaches the caller through the run's outcome
        task.fail(error)
    if task.outcome is None:
        task.outcome = task.driver.records.outcome(task.invocation)
    if task.outcome is None:
        task.fail(RuntimeError("the orchestrator returned without running it"))
