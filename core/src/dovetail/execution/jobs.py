"""Steps whose workers an engine starts elsewhere: what it is given, and what becomes of them."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from dovetail.components.container_registry import ContainerRegistry, Credentials
from dovetail.components.job import Job, JobGraph, RunningJob
from dovetail.components.step_operator import StepOperator
from dovetail.digest import of_bytes
from dovetail.errors import RunCancelled, StepTimeout, WorkerLost
from dovetail.execution.work import RunInfo
from dovetail.ledger import layout
from dovetail.ledger.runs import RunRecords
from dovetail.planning.workspace import Workspace, run_address, runner_of, settings_for, without_waived
from dovetail.stack.handing import hand_on, to_hand
from dovetail.stack.references import redact
from dovetail.stack.stack import Stack
from dovetail.values.plan import PlanStep
from dovetail.values.settings import Resources
from dovetail.worker import BEGINNING, node_arguments, worker_arguments

_LOOK = 0.5  # seconds between two looks at whether the run is to stop
_WITHOUT_ENGINE = 2.0  # seconds between two looks at the ledger while the engine does not answer
INTERRUPTED = "the process that drives the run was interrupted"  # a reason to cancel
_NO_DOVETAIL = re.compile(r"No module named '?dovetail\b")
_INSTALL = "Install it there, name another image, or leave the image out and add an image builder to the stack, so that one is built."
_LABEL = 63  # characters of a name that every engine takes


def job_of(workspace: Workspace, run: RunInfo, step: PlanStep, number: int, component_type: str) -> Job:
    """The job of one attempt. `component_type`: whether the orchestrator or the step operator is to start it."""
    stack = workspace.stack
    components = stack.present()
    shown = _shows_variables(stack, component_type)  # such a service pulls images by credentials of its own, too
    variables, secrets = of_the_stack(stack, component_type)
    wanted = {name for component in components for name in component.credential_variables if not shown}
    return Job(
        name=job_name(run, step.invocation, number),
        command=worker_arguments(run_address(workspace, run.run_id), step.invocation, number),
        image=step.image,
        variables={**variables, **step.environment.env},
        secrets=secrets,
        credentials={name: os.environ[name] for name in sorted(wanted) if name in os.environ},
        login=_login(workspace, step.image) if not shown else None,
        folders=tuple(dict.fromkeys(folder.absolute() for component in components for folder in component.local_folders())),
        resources=without_waived(step.resources, stack.waive),
        timeout=step.timeout,
        labels=labels_of(run, step, number),
        settings=settings_for(workspace, step.options, component_type),
    )


def of_the_stack(stack: Stack, component_type: str) -> tuple[dict[str, str], dict[str, str]]:
    """(variables, secrets) by which a worker that the orchestrator, or the step operator, starts finds what the stack's components refer to."""
    if _shows_variables(stack, component_type):
        return stack.shown_variables(), {}
    return {}, to_hand([spec.configuration for spec in stack.components.values()], stack.secret)


def _shows_variables(stack: Stack, component_type: str) -> bool:
    return bool(getattr(stack.build(component_type), "shows_variables", False))


def job_here(workspace: Workspace, run: RunInfo, step: PlanStep, number: int) -> Job:
    """The job of one attempt that is a process beside this one, with what this one has."""
    command = worker_arguments(run_address(workspace, run.run_id), step.invocation, number)
    return Job(job_name(run, step.invocation, number), command, variables=dict(step.environment.env), secrets=hand_on(), timeout=step.timeout)


def graph_of(workspace: Workspace, run: RunInfo, steps: Sequence[PlanStep], *, keep_going: bool) -> JobGraph:
    """The jobs of these steps, each behind those of the others that it takes something from."""
    names = {step.invocation: job_name(run, step.invocation, 1) for step in steps}
    labels = labels_of(run)
    return JobGraph(job_name(run, run.pipeline, 1), run.pipeline, run.run_id, [_node_of(workspace, run, step, names) for step in steps], keep_going, labels)


def _node_of(workspace: Workspace, run: RunInfo, step: PlanStep, names: Mapping[str, str]) -> Job:
    job = job_of(workspace, run, step, 1, "orchestrator")
    operated = isinstance(runner_of(workspace, step.options), StepOperator)  # then it only waits for another's job
    return replace(
        job,
        command=node_arguments(run_address(workspace, run.run_id), step.invocation),
        resources=Resources() if operated else job.resources,
        timeout=None if operated else _in_all(step),
        labels=labels_of(run, step),
        after=[names[name] for name in dict.fromkeys(name for name, _ in step.node.upstream()) if name in names],
        retries=step.retry.max_retries,
    )


def _in_all(step: PlanStep) -> float | None:
    """Seconds that all attempts may take together; None where nothing bounds them."""
    if step.timeout is None or step.node.mapped is not None:
        return None
    tries = step.retry.max_retries + 1
    return BEGINNING + tries * (step.timeout + BEGINNING) + sum(step.retry.seconds_before(number) for number in range(1, tries))


def _login(workspace: Workspace, image: str | None) -> Credentials | None:
    """What opens the stack's registry, for an image that lies in it."""
    registry = workspace.stack.build(ContainerRegistry) if image is not None else None
    if registry is None or image is None or not image.startswith(f"{registry.uri.partition('/')[0]}/"):
        return None
    found = registry.credentials()
    return found if found is not None and image.startswith(f"{found.server}/") else None


def labels_of(run: RunInfo, step: PlanStep | None = None, number: int | None = None) -> dict[str, str]:
    """Where a job comes from, as engines show it beside the job."""
    said = {"run": run.run_id, "run-name": run.run_name, "pipeline": run.pipeline, "stack": run.stack["name"]}
    if step is not None:
        said["step"] = step.invocation
    if number is not None:
        said["attempt"] = str(number)
    tags = {f"tag.{tag}": "" for tag in (*run.tags, *(step.options.get("tags", ()) if step is not None else ()))}
    return {f"dovetail.{name}": value for name, value in {**said, **tags}.items()}


def job_name(run: RunInfo, invocation: str, number: int) -> str:
    """Readable at its beginning, and another for each attempt: `train-01j…-3fa4b2c1-1`."""
    ending = f"-{run.run_id}-{of_bytes(invocation.encode())[:8]}-{number}"
    return f"{slug(invocation)[: _LABEL - len(ending)].rstrip('-')}{ending}".lstrip("-")


def slug(name: str) -> str:
    """What every engine takes as part of a name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "step"


_T = TypeVar("_T")


def started(start: Callable[[_T], RunningJob], job: _T, cancelled: Callable[[], bool]) -> RunningJob:
    """What `start` gives. An engine that does not answer is asked again for a lease: who asks for the same job never has two of it.

    Raises WorkerLost, or RunCancelled.
    """
    until = time.monotonic() + layout.LEASE
    while not cancelled():
        try:
            return start(job)
        except ConnectionError as error:
            if time.monotonic() > until:
                raise WorkerLost(f"Its worker could not be started: {error}") from error
        time.sleep(_LOOK)
    raise RunCancelled("the run was asked to stop")


class Watch:
    """Waits for one attempt's worker. The engine says whether it runs; the ledger, whether its step came to an end."""

    def __init__(
        self, records: RunRecords, job: Job, invocation: str, number: int, cancelled: Callable[[], bool], secrets: Collection[str] = ()
    ) -> None:
        """`secrets`: what to hide of what the engine tells."""
        self._records = records
        self._job = job
        self._invocation = invocation
        self._number = number
        self._cancelled = cancelled
        self._secrets = secrets
        self._began = self._looked = time.monotonic()

    def until_it_ends(self, running: RunningJob, engine: Mapping[str, str]) -> dict[str, Any]:
        """What it came to: `{"outcome": …}`, or `{"retry": True}`. Raises WorkerLost, StepTimeout or RunCancelled.

        `engine`: what to record with the job's address, for people and for who wants to stop it.
        """
        try:
            self._records.note_job(self._invocation, self._number, {**engine, "address": running.address})
            return self._waited(running)
        except BaseException as error:
            if isinstance(error, (RunCancelled, KeyboardInterrupt)):
                with contextlib.suppress(OSError):  # by this the worker tells a cancellation from an engine's own reasons to end it
                    self._records.ask_to_cancel(INTERRUPTED)
            with contextlib.suppress(Exception):  # what ended the wait counts, whatever else the engine refuses
                running.stop()
            raise
        finally:
            with contextlib.suppress(Exception):
                running.close()

    def _waited(self, running: RunningJob) -> dict[str, Any]:
        away: ConnectionError | None = None
        while True:
            try:
                code = running.wait(_LOOK)
                away = None
            except ConnectionError as error:
                code, away = None, error
                time.sleep(_WITHOUT_ENGINE)
            if code is not None:
                return self._recorded() or self._lost(code, running)
            if away is None and running.queued():
                self._began = time.monotonic()
            recorded = self._recorded() if away is not None else None
            if recorded is not None:
                return recorded
            try:
                self._look(away)
            except (WorkerLost, StepTimeout):
                recorded = self._recorded()
                if recorded is None:
                    raise
                with contextlib.suppress(Exception):  # it is done, and something that the step left keeps it from ending
                    running.stop()
                return recorded

    def _recorded(self) -> dict[str, Any] | None:
        """What the ledger says that the attempt came to."""
        outcome = self._records.outcome(self._invocation)
        if outcome is not None:
            return {"outcome": outcome}
        ended = self._records.attempt(self._invocation, self._number, "ended")
        return {"retry": True, "error": ended.get("error", {}).get("message")} if ended is not None else None

    def _lost(self, code: int, running: RunningJob) -> NoReturn:
        said = ""
        with contextlib.suppress(Exception):
            said = redact(running.explain(), self._secrets)
        if code == 1 and _NO_DOVETAIL.search(said):
            said += f"\nDovetail is not installed where the worker ran{f', in image {self._job.image}' if self._job.image else ''}. {_INSTALL}"
        raise WorkerLost(f"The worker of step '{self._invocation}' ended with exit code {code} before the step did. {said}".rstrip())

    def _look(self, away: ConnectionError | None) -> None:
        now = time.monotonic()
        timeout = self._job.timeout
        ran = now - self._began
        if self._cancelled():
            raise RunCancelled("the run was asked to stop")
        silent = self._silence(now, away)
        if timeout is not None and (ran > timeout + BEGINNING or (silent is not None and ran > timeout)):
            raise StepTimeout(f"Step '{self._invocation}' ran longer than its timeout of {timeout:g} s and did not end by itself.")
        if silent is not None:
            why = f" and its engine does not answer: {away}" if away is not None else ""
            raise WorkerLost(f"The worker of step '{self._invocation}' has not been heard of for {silent:.0f} s{why}.")

    def _silence(self, now: float, away: ConnectionError | None) -> float | None:
        """Seconds for which the worker has been silent, once they are more than a lease."""
        if now - self._looked < layout.HEARTBEAT:
            return None
        self._looked = now
        try:
            silent = self._records.silence_of(self._invocation, self._number)
        except OSError:  # a store that is away for a while says nothing of the worker
            return None
        if silent is None and away is not None:
            silent = now - self._began
        return silent if silent is not None and silent > layout.LEASE else None
