"""Where each kind of record lies below a store's root."""

from __future__ import annotations

import functools
import os
import time
from datetime import datetime, timezone

from dovetail.values.names import folded

LAYOUT = 1
FORMAT = "format.json"
LEASE = 30.0  # seconds after which a heartbeat is stale
HEARTBEAT = 10.0  # seconds between heartbeats
KEPT_UNUSED = 14.0  # days an unreachable artifact is kept after it was last looked for
CACHE_KEPT = 30.0  # days a cache entry keeps its artifacts after last use

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id(now: float | None = None) -> str:
    """26 characters that sort by time: milliseconds since 1970 in the first ten, random in the rest."""
    number = int((time.time() if now is None else now) * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))


def is_run_id(text: str) -> bool:
    return len(text) == 26 and not text.strip(_ALPHABET)


def day_of(run_id: str) -> str:
    """The UTC day on which a run was created, from its id."""
    number = 0
    for character in run_id[:10]:
        number = number << 5 | _ALPHABET.index(character)
    return _day(number // 86_400_000)


@functools.lru_cache(maxsize=64)
def _day(number: int) -> str:
    """The name of a day counted from 1970."""
    return datetime.fromtimestamp(number * 86_400, timezone.utc).strftime("%Y-%m-%d")


def first_id_of(moment: datetime) -> str:
    """The smallest run id of that moment, to compare ids with a time."""
    return new_run_id(moment.timestamp())[:10] + "0" * 16


def today() -> str:
    return _day(int(time.time()) // 86_400)


@functools.lru_cache(maxsize=256)
def run(run_id: str) -> str:
    return f"runs/{day_of(run_id)}/{run_id}"


def step(run_id: str, invocation: str) -> str:
    return f"{run(run_id)}/steps/{invocation}"


def artifact(digest: str) -> str:
    return f"artifacts/{digest}"


def code(digest: str) -> str:
    return f"code/{digest}"


def artifact_name(name: str) -> str:
    return f"names/artifacts/{folded(name)}"


def model_versions(name: str) -> str:
    return f"names/models/{folded(name)}/versions"


def model_stages(name: str) -> str:
    return f"names/models/{folded(name)}/stages"


def model_approvals(name: str) -> str:
    return f"names/models/{folded(name)}/approvals"


def cache(key: str) -> str:
    return f"cache/{key[:2]}/{key}"


def deployments(name: str) -> str:
    return f"deployments/{folded(name)}"


def schedules(name: str) -> str:
    return f"schedules/{folded(name)}"


def ticks(name: str) -> str:
    """Below it by day and minute, in UTC."""
    return f"ticks/{folded(name)}"
