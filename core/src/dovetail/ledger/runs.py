"""The records of one run. An outcome is the only commit; terminal is final."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.errors import Corrupt, StoreError
from dovetail.ledger import layout
from dovetail.ledger.records import Records, parse
from dovetail.values.plan import Plan
from dovetail.values.processes import is_alive


class RunRecords:
    def __init__(self, records: Records, run_id: str) -> None:
        self.records = records
        self.run_id = run_id
        self.base = layout.run(run_id)

    def begin(self, header: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
        """Create the run: its plan first, so that whoever sees the run can resume it. False where another process began it."""
        self.records.format(create=True)
        self.records.create(f"{self.base}/plan.json", plan)
        return self.records.create(f"{self.base}/run.json", header)

    def header(self) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/run.json")

    def start(self, record: Mapping[str, Any]) -> None:
        """Record what was claimed and prepared when the first step was about to run; a run of nothing but cached steps has none."""
        self.records.create(f"{self.base}/started.json", record)

    def started(self) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/started.json")

    def plan(self) -> Plan:
        path = f"{self.base}/plan.json"
        return plan_from(path, self.records.get(path))

    def hand_over(self, record: Mapping[str, Any]) -> None:
        """Record that an engine is about to have the run, as which graph."""
        self.records.create(f"{self.base}/engine.json", record)

    def note_address(self, address: str) -> None:
        """Record what the engine calls the run's graph."""
        self.records.create(f"{self.base}/graph.json", {"address": address})

    def handed_over(self) -> dict[str, Any] | None:
        """`address` is missing where who handed it over was lost before the engine had answered."""
        handed = self.records.find(f"{self.base}/engine.json")
        return {**handed, **(self.records.find(f"{self.base}/graph.json") or {})} if handed is not None else None

    def write_node(self, invocation: str, record: Mapping[str, Any]) -> None:
        """What the worker of a graph's job reads, before the step's inputs are there."""
        self.records.create(f"{self.base}/steps/{invocation}/node.json", {**record, "format": self.records.format()})

    def node(self, invocation: str) -> dict[str, Any]:
        return self._own(invocation, "node")

    def part(self, invocation: str) -> dict[str, Any]:
        """A step's own part of the plan, which its worker reads instead of the whole."""
        return self._own(invocation, "plan")

    def _own(self, invocation: str, which: str) -> dict[str, Any]:
        path = f"{self.base}/steps/{invocation}/{which}.json"
        try:
            part = parse(path, self.records.store.read(path))
        except FileNotFoundError:
            raise StoreError(f"The run at {self.base} has no step '{invocation}' that is to run elsewhere. Check the worker's command line.") from None
        self.records.trust(part.get("format", {}))
        return part

    def write_part(self, invocation: str, part: Mapping[str, Any]) -> None:
        self.records.create(f"{self.base}/steps/{invocation}/plan.json", {**part, "format": self.records.format()})

    def start_attempt(self, invocation: str, attempt: int, record: Mapping[str, Any]) -> None:
        self.records.create(f"{self.base}/steps/{invocation}/attempts/{attempt}/started.json", record)

    def note_job(self, invocation: str, attempt: int, record: Mapping[str, Any]) -> None:
        """Record which job of an engine an attempt is."""
        self.records.create(f"{self.base}/steps/{invocation}/attempts/{attempt}/job.json", record)

    def end_attempt(self, invocation: str, attempt: int, record: Mapping[str, Any]) -> None:
        """What became of an attempt that did not give the outcome, so that a retry is seen while it waits."""
        self.records.create(f"{self.base}/steps/{invocation}/attempts/{attempt}/ended.json", record)

    def attempts(self, invocation: str) -> list[int]:
        return sorted(int(e.name) for e in self.records.store.scan(f"{self.base}/steps/{invocation}/attempts") if e.name.isdecimal())

    def attempt(self, invocation: str, attempt: int, which: str = "started") -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/steps/{invocation}/attempts/{attempt}/{which}.json")

    def add_log(self, invocation: str, attempt: int, number: int, text: str) -> None:
        """Chunk `number` (from 0) of an attempt's log."""
        path = f"{self.base}/steps/{invocation}/attempts/{attempt}/log/{number:06}.txt"
        self.records.store.create(path, text.encode("utf-8", "replace"))

    def log(self, invocation: str, attempt: int, after: int = -1) -> Iterator[tuple[int, str]]:
        """The chunks above `after`, with their numbers."""
        folder = f"{self.base}/steps/{invocation}/attempts/{attempt}/log"
        names = sorted(entry.name for entry in self.records.store.scan(folder) if entry.name.endswith(".txt"))
        for name in names:
            number = int(name[:-4])
            if number > after:
                yield number, self.records.store.read(f"{folder}/{name}").decode("utf-8", "replace")

    def commit(self, invocation: str, outcome: Mapping[str, Any]) -> bool:
        """Create the outcome; False when another attempt's, or a reader's, came first."""
        return self.records.create(f"{self.base}/steps/{invocation}/outcome.json", outcome)

    def outcome(self, invocation: str) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/steps/{invocation}/outcome.json")

    def invocations(self) -> list[str]:
        return sorted(entry.name for entry in self.records.store.scan(f"{self.base}/steps") if entry.is_folder)

    def expand(self, invocation: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Record what a mapped step's children are, once; gives what counts."""
        path = f"{self.base}/steps/{invocation}/expansion.json"
        self.records.create(path, record)
        return self.records.get(path)

    def expansion(self, invocation: str) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/steps/{invocation}/expansion.json")

    def finish(self, record: Mapping[str, Any]) -> bool:
        return self.records.create(f"{self.base}/finished.json", record)

    def finished(self) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/finished.json")

    def note_failure(self, invocation: str) -> None:
        """Record which step was the first to fail, for jobs of an engine that would start all the same."""
        self.records.create(f"{self.base}/failure.json", {"step": invocation})

    def failure(self) -> str | None:
        found = self.records.find(f"{self.base}/failure.json")
        return str(found["step"]) if found is not None else None

    def ask_to_cancel(self, reason: str) -> None:
        self.records.create(f"{self.base}/cancel.json", {"reason": reason, "at": time.time()})

    def cancellation(self) -> dict[str, Any] | None:
        return self.records.find(f"{self.base}/cancel.json")

    def cancelled(self) -> bool:
        return self.records.store.stat(f"{self.base}/cancel.json") is not None

    def beat_attempt(self, invocation: str, attempt: int, owner: Mapping[str, Any]) -> None:
        """Renew the lease of one attempt's worker."""
        self.records.store.overwrite(f"{self.base}/steps/{invocation}/attempts/{attempt}/heartbeat", json.dumps(owner).encode())

    def silence_of(self, invocation: str, attempt: int) -> float | None:
        """Seconds since an attempt's worker renewed its lease, by the store's clock; None when it never did."""
        entry = self.records.store.stat(f"{self.base}/steps/{invocation}/attempts/{attempt}/heartbeat")
        return self.records.store.now() - entry.modified if entry is not None else None

    def is_beating(self, invocation: str, attempt: int) -> bool:
        """Whether an attempt's worker holds its lease: known at once on its own machine."""
        try:
            owner = self.records.find(f"{self.base}/steps/{invocation}/attempts/{attempt}/heartbeat") or {}
        except Corrupt:
            owner = {}
        if is_alive(owner) is False:
            return False
        silent = self.silence_of(invocation, attempt)
        return silent is not None and silent < layout.LEASE

    def beat(self, owner: Mapping[str, Any]) -> None:
        """Renew the lease of the run's coordinator."""
        self.records.store.overwrite(f"{self.base}/heartbeat", json.dumps(owner).encode())

    def coordinator_gone(self, header: Mapping[str, Any]) -> bool:
        """Whether the coordinating process has ended: known at once on its own machine, else from a stale lease."""
        owner = self._owner() or header.get("owner") or {}
        alive = is_alive(owner)
        if alive is not None:
            return not alive
        entry = self.records.store.stat(f"{self.base}/heartbeat") or self.records.store.stat(f"{self.base}/run.json")
        if entry is None:
            return False
        return self.records.store.now() - entry.modified > float(header.get("lease", layout.LEASE))

    def _owner(self) -> dict[str, Any] | None:
        try:
            return self.records.find(f"{self.base}/heartbeat")
        except Corrupt:
            return None


def run_ids(records: Records, day: str) -> Iterator[str]:
    """The runs of a day, newest first."""
    return filter(layout.is_run_id, sorted(records.store.folders(f"runs/{day}"), reverse=True))


def days(records: Records) -> list[str]:
    """The days that have runs, newest first."""
    return sorted(records.store.folders("runs"), reverse=True)


def plan_from(path: str, record: Mapping[str, Any]) -> Plan:
    """The plan that a record at this path holds. Raises Corrupt."""
    try:
        return Plan.from_json(record)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Corrupt(f"The record {path} is not what was written: {error!r}. `dovetail store verify --repair` moves it aside.") from error
