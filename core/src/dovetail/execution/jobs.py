"""Steps whose workers an engine starts elsewhere: what it is given, and what becomes of them."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from dovetail.components.job import Job, RunningJob
from dovetail.digest import of_bytes
from dovetail.errors import RunCancelled, StepTimeout, WorkerLost
from dovetail.execution.work import RunInfo
from dovetail.ledger import layout
from dovetail.ledger.runs import RunRecords
from dovetail.planning.workspace import Workspace, addressed, run_address
from dovetail.stack.handing import to_hand
from dovetail.values.plan import PlanStep
from dovetail.values.settings import Resources
from dovetail.worker import BEGINNING, ExitCode, worker_arguments

_LOOK = 0.5  # seconds between two looks at whether the run is to stop
_WITHOUT_ENGINE = 2.0  # seconds between two looks at the ledger while the engine does not answer
_LABEL = 63  # characters of a name that every engine takes


def job_of(workspace: Workspace, run: RunInfo, step: PlanStep, number: int, component_type: str) -> Job:
    """The job of one attempt. `component_type`: whether the orchestrator or the step operator is to start it."""
    stack = workspace.stack
    environ = os.environ
    components = [component for kind in stack.components if (component := stack.build(kind)) is not None]
    wanted = {name for component in components for name in component.credential_variables}
    settings: dict[str, Any] = {}
    for target, said in (step.options.get("settings") or {}).items():
        if addressed(workspace, target) == component_type:
            settings.update(said)
    return Job(
        name=job_name(run, step.invocation, number),
        command=worker_arguments(run_address(workspace, run.run_id), step.invocation, number),
        image=step.image or step.environment.image,
        variables=dict(step.environment.env),
        secrets=to_hand(stack),
        credentials={name: environ[name] for name in sorted(wanted) if name in environ},
        folders=tuple(dict.fromkeys(folder.absolute() for component in components for folder in component.local_folders())),
        resources=step.resources if "resources" not in stack.waive else Resources(),
        timeout=step.timeout,
        labels=labels_of(run, step, number),
        settings=settings,
    )


def labels_of(run: RunInfo, step: PlanStep, number: int) -> dict[str, str]:
    """Where a job comes from, as engines show it beside the job."""
    said = {"run": run.run_id, "run-name": run.run_name, "pipeline": run.pipeline, "step": step.invocation, "attempt": str(number), "stack": run.stack["name"]}
    tags = {f"tag.{tag}": "" for tag in (*run.tags, *step.options.get("tags", ()))}
    return {f"dovetail.{name}": value for name, value in {**said, **tags}.items()}


def job_name(run: RunInfo, invocation: str, number: int) -> str:
    """Readable at its beginning, and another for each attempt: `train-01j…-3fa4b2c1-1`."""
    ending = f"-{run.run_id}-{of_bytes(invocation.encode())[:8]}-{number}"
    slug = re.sub(r"[^a-z0-9]+", "-", invocation.lower()).strip("-") or "step"
    return f"{slug[: _LABEL - len(ending)].rstrip('-')}{ending}".lstrip("-")


class Watch:
    """Waits for one attempt's worker. The engine says whether it runs; the ledger, whether its step came to an end."""

    def __init__(self, records: RunRecords, job: Job, invocation: str, number: int, cancelled: Callable[[], bool]) -> None:
        self._records = records
        self._job = job
        self._invocation = invocation
        self._number = number
        self._cancelled = cancelled
        self._began = self._looked = time.monotonic()

    def until_it_ends(self, running: RunningJob) -> dict[str, Any]:
        """What it came to: `{"retry": True}`, or nothing where the outcome says it. Raises WorkerLost, StepTimeout or RunCancelled."""
        try:
            return self._waited(running)
        finally:
            with contextlib.suppress(ConnectionError):
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
            if code is not None or (away is not None and self._committed()):
                return self._ended(code, running)
            self._look(running, away)

    def _ended(self, code: int | None, running: RunningJob) -> dict[str, Any]:
        if code == ExitCode.TRY_AGAIN:
            return {"retry": True}
        if self._committed():
            return {}
        with contextlib.suppress(ConnectionError):
            said = running.explain()
            raise WorkerLost(f"The worker of step '{self._invocation}' ended with exit code {code} before the step did. {said}".rstrip())
        raise WorkerLost(f"The worker of step '{self._invocation}' has gone, and so has the engine that ran it. Run it again once that is back.")

    def _look(self, running: RunningJob, away: ConnectionError | None) -> None:
        now = time.monotonic()
        if self._cancelled():
            self._stop(running)
            raise RunCancelled("the run was asked to stop")
        if self._job.timeout is not None and now - self._began > self._job.timeout + BEGINNING:
            self._stop(running)
            raise StepTimeout(f"Step '{self._invocation}' ran longer than its timeout of {self._job.timeout:g} s and did not end by itself.")
        if now - self._looked >= layout.HEARTBEAT:
            self._looked = now
            silent = self._records.silence_of(self._invocation, self._number)
            if silent is None and away is not None:
                silent = now - self._began
            if silent is not None and silent > layout.LEASE:
                self._stop(running)
                why = f" and its engine does not answer: {away}" if away is not None else ""
                raise WorkerLost(f"The worker of step '{self._invocation}' has not been heard of for {silent:.0f} s{why}.")

    def _committed(self) -> bool:
        return self._records.outcome(self._invocation) is not None

    def _stop(self, running: RunningJob) -> None:
        with contextlib.suppress(ConnectionError):
            running.stop()


def told_where(records: RunRecords, invocation: str, number: int, engine: Mapping[str, str], running: RunningJob) -> None:
    """Record where an attempt runs, for people and for who wants to stop it."""
    records.note_job(invocation, number, {**engine, "address": running.address})
