"""What a run will probably ask of a store that is far away, asked at once: planning a chain asks for one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dovetail.errors import Corrupt
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.runs import days

_AT_ONCE = 32
_RUNS = 24  # of the newest, among which one of the same pipeline is looked for
_DAYS = 3


def foresee(ledger: Ledger, pipeline: str) -> None:
    """Have the ledger know what the newest run of the pipeline took or gave: cache entries, artifacts, versions of names.

    What is learned counts until `ledger.cache.forget()`.
    """
    ledger.cache.forget()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dovetail-foresee") as pool:
        run = _newest(ledger, pipeline, pool.map)
        if run is None:
            return
        for step in run["steps"].values():
            for output in (step.get("outputs") or {}).values():
                if output.get("artifact") and output.get("version"):
                    ledger.versions.seen(output["artifact"], output["version"])
        keys = dict.fromkeys(step["key"] for step in run["steps"].values() if step.get("key"))
        for _ in pool.map(ledger.cache.foresee, keys):
            pass


def _newest(ledger: Ledger, pipeline: str, map_: Callable[..., Iterable[Any]]) -> Mapping[str, Any] | None:
    def finished(run_id: str) -> Mapping[str, Any] | None:
        try:
            return ledger.run(run_id).finished()
        except Corrupt:
            return None

    found = [run for run in map_(finished, list(_newest_ids(ledger))) if run is not None and run.get("pipeline") == pipeline]
    whole = [run for run in found if run["status"] in ("completed", "cached")]
    return next(iter([*whole, *found]), None)


def _newest_ids(ledger: Ledger) -> Iterator[str]:
    left = _RUNS
    for day in days(ledger.records)[:_DAYS]:
        for run_id in ledger.runs_of(day):
            if left == 0:
                return
            left -= 1
            yield run_id
