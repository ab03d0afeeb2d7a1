"""Closing a run: its last record repeats what lists and lineage need, so that they read one object per run."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dovetail.components.job import RunningJob
from dovetail.errors import DovetailError
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.runs import RunRecords
from dovetail.planning.keys import references
from dovetail.values.model import pin
from dovetail.values.plan import Status

_OF_THE_HEADER = ("id", "name", "pipeline", "stack", "created", "tags", "models", "pins", "resumes", "scheduled_for", "package", "parameters")


Engine = Callable[[Mapping[str, Any]], RunningJob | None]


_UNHEARD = 600.0  # seconds


def summary(header: Mapping[str, Any], outcomes: Mapping[str, Mapping[str, Any]], status: Status, ended: float) -> dict[str, Any]:
    """The record that ends a run."""
    steps = {name: step_summary(outcome) for name, outcome in outcomes.items()}
    kept = {name: header[name] for name in _OF_THE_HEADER if header.get(name)}
    used = {pin(each["name"], each["wanted"]): each["answer"] for outcome in outcomes.values() for each in outcome.get("readings", ()) if each.get("kind") == "model"}
    kept |= {"used": {key: number for key, number in used.items() if number is not None}} if used else {}
    return {**kept, "status": status.value, "ended": ended, "steps": steps}


def step_summary(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs`: digests of the artifacts taken, by parameter; `outputs`: name → artifact, version, digest, type, size."""
    inputs = {name: found for name, given in outcome.get("inputs", {}).items() if (found := list(references(given)))}
    record: dict[str, Any] = {"status": outcome["status"], "started": outcome["started"], "ended": outcome["ended"]}
    optional = {"inputs": inputs, "outputs": outcome.get("outputs"), "metrics": last_values(outcome), "children": outcome.get("children"), "key": outcome.get("key")}
    return {**record, **{name: value for name, value in optional.items() if value}}


def last_values(outcome: Mapping[str, Any]) -> dict[str, float]:
    return {name: points[-1][0] for name, points in outcome.get("metrics", {}).items() if points}


def status_of(outcomes: Mapping[str, Mapping[str, Any]]) -> Status:
    """What steps' outcomes make of their run."""
    statuses = {Status(outcome["status"]) for outcome in outcomes.values()}
    for bad in (Status.INTERRUPTED, Status.CANCELLED, Status.FAILED):
        if bad in statuses:
            return bad
    return Status.CACHED if Status.CACHED in statuses and Status.COMPLETED not in statuses else Status.COMPLETED


def close_if_over(ledger: Ledger, run_id: str, engine: Engine) -> dict[str, Any] | None:
    """The run's last record, made now if all outcomes are there or its coordinator is gone; None while it goes on.

    `engine`: what finds, by its record, the graph that a run was handed over as; None where that cannot be asked.
    Closing a run whose coordinator is gone gives each open step the outcome `interrupted`. Nothing is closed where that
    cannot be told, or by who may only read.
    """
    records = ledger.run(run_id)
    finished = records.finished()
    if finished is not None:
        return finished
    header = records.header()
    if header is None:
        return None
    try:
        return _close_if_over(ledger, records, header, engine)
    except PermissionError:
        return None
    except OSError as error:
        if error.errno == errno.EROFS:
            return None
        raise


def _close_if_over(ledger: Ledger, records: RunRecords, header: Mapping[str, Any], engine: Engine) -> dict[str, Any] | None:
    wanted = [step.invocation for step in records.plan().steps]
    outcomes = {name: outcome for name in wanted if (outcome := records.outcome(name)) is not None}
    if len(outcomes) < len(wanted) and not _gone(records, header, engine):
        return None
    for name in wanted:
        if name not in outcomes:
            outcomes[name] = _left_open(records, name, outcomes)
    outcomes.update(_children(records, outcomes))
    _repair_cache(ledger, header, outcomes)
    models = (records.started() or header).get("models", {})
    known = {name: version for name, version in models.items() if version is not None}
    ended = max((outcome["ended"] for outcome in outcomes.values()), default=time.time())
    records.finish(summary({**header, "models": known}, outcomes, status_of(outcomes), ended))
    return records.finished()


def _gone(records: RunRecords, header: Mapping[str, Any], engine: Engine) -> bool:
    """Whether nothing works on the run any more."""
    if not records.coordinator_gone(header):
        return False
    handed = records.handed_over()
    if handed is None:
        return True
    try:
        running = engine(handed) if "address" in handed else None
        if running is None:
            return _silent(records, header)
        return running.wait(0) is not None
    except (DovetailError, OSError):  # then it cannot be told
        return False


def _silent(records: RunRecords, header: Mapping[str, Any]) -> bool:
    """Of a run whose engine cannot be asked: whether it is long since anything was heard of it, and it was asked to stop or never seen to begin."""
    if not records.cancelled() and "address" in (records.handed_over() or {}):
        return False
    beats = [records.silence_of(name, number) for name in records.invocations() for number in records.attempts(name)[-1:]]
    heard = [seconds for seconds in beats if seconds is not None]
    since = min(heard, default=time.time() - float(header.get("created", 0.0)))
    return since > _UNHEARD


def _left_open(records: RunRecords, name: str, outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What becomes of a step that nothing works on any more."""
    now = time.time()
    attempts = records.attempts(name)
    started = (records.attempt(name, attempts[-1]) or {}).get("started", now) if attempts else now
    failed = next((other for other, outcome in outcomes.items() if outcome["status"] == Status.FAILED), None)
    status, why = Status.INTERRUPTED, "the process that drove the run has gone"
    if records.handed_over() is not None:
        why = "the engine's graph ended before it"
        if records.cancelled():
            status, why = Status.CANCELLED, "the run was cancelled"
        elif failed is not None and not attempts:
            status, why = Status.SKIPPED, f"step '{failed}' failed"
    records.commit(name, {"status": status.value, "why": why, "started": started, "ended": now, "inputs": {}, "outputs": {}})
    return records.outcome(name) or {}


def _children(records: RunRecords, outcomes: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in list(outcomes):
        for child in (records.expansion(name) or {}).get("children", ()):
            outcome = records.outcome(child)
            if outcome is not None:
                yield child, outcome


def _repair_cache(ledger: Ledger, header: Mapping[str, Any], outcomes: Mapping[str, Mapping[str, Any]]) -> None:
    """A writer that died between an outcome and its cache entry left the entry to whoever reads."""
    for name, outcome in outcomes.items():
        key = outcome.get("key")
        if key is None or outcome["status"] != Status.COMPLETED:
            continue
        if not any(entry.get("run") == header["id"] for _, entry in ledger.cache.entries(key)):
            ledger.cache.add(key, entry_of(header, name, outcome))


def entry_of(header: Mapping[str, Any], invocation: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What the cache keeps of an outcome."""
    kept = {name: outcome[name] for name in ("outputs", "params", "metrics", "metadata", "model_metadata", "readings") if outcome.get(name)}
    return {"outputs": {}, **kept, "run": header["id"], "run_name": header["name"], "invocation": invocation, "at": outcome["ended"]}
