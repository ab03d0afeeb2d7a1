"""Schedules as rows and pages: what comes next, and what became of the ticks that there were."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dovetail.errors import ConfigurationError, DovetailError
from dovetail.execution.scheduler import MADE_UP_WITHIN, ON_TIME
from dovetail.execution.ticks import local, ticks_after
from dovetail.ledger.schedules import SCHEDULER
from dovetail.ledger.ticks import Ticks

if TYPE_CHECKING:
    from dovetail.client.client import Client

_A_DAY = 86_400.0  # seconds


def row(client: Client, record: Mapping[str, Any]) -> dict[str, Any]:
    """One schedule of a list."""
    last = next(history(client, record, 1), None)
    return {
        "pipeline": record["name"],
        "cron": record["cron"],
        "timezone": record["timezone"],
        "overlap": record.get("overlap", "skip"),
        "missed": record.get("missed", "latest"),
        "stack": record["plan"]["stack"]["name"],
        "kept_by": "dovetail scheduler" if record.get("kept_by") == SCHEDULER else "engine",
        "paused": record["paused"] is not None,
        "next": _next(record),
        "last": last and last["tick"],
        "result": last and last["result"],
        "run": last and last["run"],
        "made": _moment(record, record["at"]),
        "engine": record.get("address"),
    }


def page(client: Client, record: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """All of one schedule, with its newest ticks."""
    return {**row(client, record), "parameters": dict(record["plan"].get("parameters", {})), "ticks": list(history(client, record, limit))}


def history(client: Client, record: Mapping[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """The newest ticks, each with its run and what became of it, or with why there is none; newest first."""
    ticks = Ticks(client.ledger.records, record["name"])
    claims = {claim["due"]: claim for claim in itertools.islice(ticks.newest(), limit)}
    missed = _unclaimed(record, set(claims), min(claims, default=0.0) if len(claims) == limit else 0.0, limit)
    for due in itertools.islice(sorted([*claims, *missed], reverse=True), limit):
        yield _claimed(client, record, ticks, claims[due]) if due in claims else _missed(record, due)


def _unclaimed(record: Mapping[str, Any], claimed: set[float], oldest: float, limit: int) -> list[float]:
    """The newest ticks, since the schedule was made or resumed, of which there is no record."""
    if record.get("kept_by") != SCHEDULER:
        return []
    until = (record["paused"] or time.time()) - ON_TIME
    start = max(record["since"] if record["paused"] is None else record["at"], oldest)
    found: list[float] = []
    try:
        for back in (_A_DAY, MADE_UP_WITHIN):  # most often the first is enough
            coming = ticks_after(record, max(start, until - back))
            found = [tick for tick in itertools.takewhile(lambda tick: tick <= until, coming) if tick not in claimed]
            if len(found) >= limit:
                break
    except ConfigurationError:
        return []
    return found


def _missed(record: Mapping[str, Any], due: float) -> dict[str, Any]:
    return {"tick": _moment(record, due), "result": "missed", "run": None, "why": f"no scheduler was there (missed='{record.get('missed', 'latest')}')"}


def _claimed(client: Client, record: Mapping[str, Any], ticks: Ticks, claim: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"tick": _moment(record, claim["due"]), "result": "skipped", "run": claim.get("run"), "why": claim.get("why")}
    if "run" not in claim:
        return said
    try:
        run = client.run(claim["run"])
        return {**said, "result": run.status.value, "why": run.error}
    except DovetailError:
        settled = ticks.settled(claim["due"])
    if settled is None:
        return {**said, "result": "beginning"}
    return {**said, "result": "deleted"} if "run" in settled else {**said, "result": "not begun", "run": None, "why": settled.get("why")}


def _next(record: Mapping[str, Any]) -> str | None:
    if record["paused"] is not None:
        return None
    try:
        tick = next(ticks_after(record, max(time.time(), record["since"])), math.inf)
    except ConfigurationError:
        return None
    return _moment(record, tick) if tick < math.inf else None


def _moment(record: Mapping[str, Any], moment: float) -> str:
    return local(record, moment).isoformat(timespec="minutes")
