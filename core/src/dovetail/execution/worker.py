"""The worker: runs one step of a run that it knows by address alone."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dovetail.execution.attempt import Attempt, flush_all, give_up, settle
from dovetail.execution.descriptors import descriptors_kept
from dovetail.execution.importing import definition_of, use_package
from dovetail.execution.pulse import Pulse
from dovetail.execution.work import RunInfo
from dovetail.graph.definition import StepDefinition
from dovetail.ledger.runs import RunRecords
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.values.encoding import SESSION
from dovetail.values.plan import PlanStep
from dovetail.values.project import find_project
from dovetail.worker import read_address


@dataclass
class Worker:
    """Keeps what steps of one run share between them. `used`: packages whose modules this process imports from."""

    address: str
    workspace: Workspace
    used: str | None = None
    elsewhere: bool = False

    @classmethod
    def at(cls, address: str, *, elsewhere: bool = False) -> Worker:
        """`elsewhere`: the project is not here, whatever lies at its path. Raises ConfigurationError for an address that leads to no store."""
        flavor, configuration, _ = read_address(address)
        return cls(address, store_alone(flavor, configuration), elsewhere=elsewhere)

    @property
    def records(self) -> RunRecords:
        return self.workspace.ledger.run(read_address(self.address)[2])

    def run(self, invocation: str, number: int, begun: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Run a step's attempt; what is answered is small JSON, what counts is in the ledger. `begun`: called right before."""
        attempt = self.attempt(invocation, number)
        run_id = attempt.run.run_id
        records = attempt.workspace.ledger.run(run_id)
        with Pulse(records, flush=lambda: flush_all(run_id), on_cancel=lambda: None, beat=None):
            begun()
            return _answer(*settle(attempt))

    def attempt(self, invocation: str, number: int) -> Attempt:
        """What the run recorded of the step, ready to be performed here."""
        part = self.records.part(invocation)
        info = RunInfo.from_json(part["run"])
        workspace = self.workspace_for(info)
        step = PlanStep.from_json(part["step"])
        records, definition, key = self.records, definition_of(step), part.get("key")
        difference = _difference(step, definition, workspace, records) if key is not None else None
        if difference is not None:
            step, key = replace(step, uncached=difference), None
            print(f"The result of step '{step.invocation}' is not cached: {difference}.", file=sys.stderr)
        for name, version in part.get("seen", {}).items():
            workspace.ledger.versions.seen(name, version)
        return Attempt(workspace, info, step, definition, part["inputs"], key, number, descriptors_kept)

    def refuse(self, invocation: str, number: int, error: BaseException) -> dict[str, Any] | None:
        """Commit for a step's attempt that could not be made ready here, or that cannot do so itself."""
        part = self.records.part(invocation)
        return give_up(self.workspace, RunInfo.from_json(part["run"]), PlanStep.from_json(part["step"]), number, part["inputs"], error)

    def workspace_for(self, info: RunInfo) -> Workspace:
        """What the run works with, once its code is here."""
        if self.used != info.package:
            self.used = info.package
            use_package(self.workspace.ledger.records, info.package, info.root, elsewhere=self.elsewhere)
            root = Path(info.root) if info.root and os.path.isdir(info.root) and not self.elsewhere else Path.cwd()
            known = self.workspace.ledger.records.format()
            self.workspace = open_workspace(snapshot=info.stack, project=find_project(root), elsewhere=self.elsewhere)
            self.workspace.ledger.records.trust(known)
        return self.workspace


def store_alone(flavor: str, configuration: Mapping[str, Any]) -> Workspace:
    """What there is to work with for who knows an address and no more."""
    store = {"flavor": flavor, "name": flavor, "configuration": configuration}
    return open_workspace(snapshot={"name": "worker", "components": {"artifact_store": store}, "waive": []})


def _difference(step: PlanStep, definition: StepDefinition, workspace: Workspace, records: RunRecords) -> str | None:
    """What of the step's code is otherwise here than the cache key says, because the program changed it after it was imported."""
    from dovetail.planning.code import CodeReader

    if step.node.source.startswith(f"{SESSION}:"):
        return None  # it was written out for the run, and has another form than what was typed
    found = CodeReader(workspace.project).identify(definition.function)
    if step.code is None or found.digest == step.code:
        return None
    planned = records.plan().codes[step.code].parts
    names = sorted(name for name in {*planned, *found.parts} if planned.get(name) != found.parts.get(name))
    return (
        f"{', '.join(names[:3])} had been changed where the run was started, which a worker process, that imports the step's module, does not see; "
        f"give it to the step as a parameter"
    )


def _answer(outcome: Mapping[str, Any] | None, error: BaseException | None) -> dict[str, Any]:
    return {"retry": True, "error": str(error)} if outcome is None else {"status": outcome["status"]}


def serve(answers: int) -> None:
    """Run the steps that standard input names, a JSON object a line, until it ends; one line of JSON answers each."""
    worker: Worker | None = None
    for line in _tasks(answers):
        task = json.loads(line)
        try:
            if worker is None or worker.address != task["address"]:
                worker = _successor(worker, task["address"])
            answer = worker.run(task["invocation"], task["attempt"], lambda: _tell(answers, {"begun": True}))
        except Exception as error:  # the driver commits for a worker that could not
            answer = {"error": f"{type(error).__name__}: {error}"}
        _tell(answers, answer)


def _tell(answers: int, said: dict[str, Any]) -> None:
    os.write(answers, json.dumps(said).encode() + b"\n")


def _tasks(answers: int) -> Iterable[bytes]:
    """The lines of standard input, which is kept from steps and from what they start, as the answers are."""
    os.set_inheritable(answers, False)
    tasks = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so that the log of a step that goes on can be followed
    return tasks


def _successor(worker: Worker | None, address: str) -> Worker:
    made = Worker.at(address)
    made.used = worker.used if worker is not None else None
    return made
