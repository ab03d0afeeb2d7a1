"""What must not be deleted: every digest that a kept run, a version, a deployment or a recent result names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dovetail.errors import Corrupt, StoreError
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.records import parse

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_REFUSAL = "Nothing is deleted while it cannot be told what a record keeps."
_OF_A_RUN = ("run.json", "plan.json", "started.json", "outcome.json", "finished.json", "expansion.json")


@dataclass(frozen=True)
class Live:
    """`digests`: of artifacts and code packages that are reachable. `recent`: when the last cache entry that names a digest was written.

    `deleted`: runs that were deleted. `begun`: runs that are kept, and that any reader sees.
    """

    digests: frozenset[str]
    recent: dict[str, float]
    deleted: frozenset[str]
    begun: frozenset[str]


def find_live(ledger: Ledger) -> Live:
    """Raises StoreError while a record cannot be read, as nobody knows then what it names.

    Any digest that stands anywhere in a kept record counts: one too many costs room, one too few costs a result.
    """
    ledger.records.format()  # refuses a store that a later version wrote
    deleted, undeployed = _deletions(ledger)
    begun: set[str] = set()
    named: set[str] = set()
    for run_id, name, data in _run_records(ledger, deleted):
        named.update(_digests(data))
        if name in ("run.json", "finished.json"):
            begun.add(run_id)
    for path, data in _records_below(ledger, "names/artifacts"):
        if parse(path, data).get("run") is None:  # one that a step run saved counts with its run
            named.update(_digests(data))
    for path, data in _records_below(ledger, "deployments"):
        if f"{parse(path, data).get('name')}/{_number(path)}" not in undeployed:
            named.update(_digests(data))
    for _, data in _records_below(ledger, "schedules"):
        named.update(_digests(data))
    for path, _ in ledger.store.walk("damaged"):
        named.update(_digests(ledger.store.read(path)))
    try:
        live = _with_items(ledger, named)
    except Corrupt as error:
        raise StoreError(f"{_REFUSAL} {error}") from error
    return Live(frozenset(live), _cached(ledger), frozenset(deleted), frozenset(begun))


def read_changes(ledger: Ledger) -> Iterator[tuple[str, dict[str, Any]]]:
    """What was said later of objects, by path; an unreadable change says nothing."""
    for path, entry in ledger.store.walk("changes"):
        if entry.name.endswith(".json"):
            try:
                found = ledger.records.find(path)
            except Corrupt:
                continue
            if found is not None:
                yield path, found


def items_of(ledger: Ledger, digest: str) -> tuple[str, ...]:
    """The items of an artifact that was stored item by item; nothing for any other, and for one that is not there."""
    manifest = ledger.artifacts.find(digest)
    return (manifest.items or ()) if manifest is not None else ()


def _deletions(ledger: Ledger) -> tuple[set[str], set[str]]:
    runs: set[str] = set()
    deployments: set[str] = set()
    for _, change in read_changes(ledger):
        if change.get("delete") and "run" in change:
            runs.add(str(change["run"]))
        elif change.get("delete") and "deployment" in change:
            deployments.add(str(change["deployment"]))
    return runs, deployments


def _run_records(ledger: Ledger, deleted: set[str]) -> Iterator[tuple[str, str, bytes]]:
    for day in list(ledger.store.scan("runs")):
        for entry in list(ledger.store.scan(f"runs/{day.name}")):
            if entry.is_folder and layout.is_run_id(entry.name) and entry.name not in deleted:
                for path, data in _records_below(ledger, f"runs/{day.name}/{entry.name}", _OF_A_RUN):
                    yield entry.name, path.rpartition("/")[2], data


def _records_below(ledger: Ledger, folder: str, names: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    for path, entry in ledger.store.walk(folder):
        if entry.name.endswith(".json") and (not names or entry.name in names):
            try:
                data = ledger.store.read(path)
            except FileNotFoundError:
                continue  # deleted while we looked
            _refuse_unreadable(path, data)
            yield path, data


def _refuse_unreadable(path: str, data: bytes) -> None:
    try:
        parse(path, data)
    except Corrupt as error:
        raise StoreError(f"{_REFUSAL} {error}") from error


def _digests(data: bytes) -> set[str]:
    return {found.decode() for found in _DIGEST.findall(data)}


def _with_items(ledger: Ledger, named: set[str]) -> set[str]:
    live: set[str] = set()
    pending = list(named)
    while pending:
        digest = pending.pop()
        if digest in live:
            continue
        live.add(digest)
        pending.extend(items_of(ledger, digest))
    return live


def _cached(ledger: Ledger) -> dict[str, float]:
    """When the newest cache entry that names an artifact was written, with the items of lists."""
    recent: dict[str, float] = {}
    for path, entry in ledger.store.walk("cache"):
        try:
            found = ledger.records.find(path) or {}
            digests = _with_items(ledger, {output["digest"] for output in found.get("outputs", {}).values()})
        except Corrupt:
            continue  # it can never be hit
        for digest in digests:
            recent[digest] = max(recent.get(digest, 0.0), float(found.get("at", entry.modified)))
    return recent


def _number(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")
