"""What goes on of a schedule when its next moment comes, and what its overlap policy makes of that."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dovetail.components.orchestrator import GraphOrchestrator
from dovetail.errors import ConfigurationError, NotFound
from dovetail.execution.finishing import close_if_over
from dovetail.ledger.ticks import Ticks
from dovetail.planning.workspace import Workspace, open_workspace

_BEGINS_WITHIN = 600.0  # seconds from its claim in which a run has begun that will be one
_LOOKED_AT = 10  # claims, newest first
_REMEMBERED = 1000  # runs that are over
_REASON = "the next run of its schedule was due"


class Going:
    """Tells the runs of schedules that go on from those that are over; of these each is asked about once."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        self._workspace = workspace
        self._clock = clock
        self._over: set[str] = set()

    def of(self, ticks: Ticks, *, but: float | None = None) -> list[dict[str, Any]]:
        """The claims whose runs go on or are about to begin, newest first. `but`: a tick that does not count."""
        claims = itertools.islice(ticks.newest(), _LOOKED_AT)
        return [claim for claim in claims if claim["due"] != but and self.goes_on(ticks, claim)]

    def goes_on(self, ticks: Ticks, claim: Mapping[str, Any]) -> bool:
        run_id = claim.get("run")
        if run_id is None or run_id in self._over:
            return False
        records = self._workspace.ledger.run(run_id)
        if records.header() is None:
            lost = self._clock() - claim["at"] > _BEGINS_WITHIN
            over = lost or ticks.settled(claim["due"]) is not None  # it could not begin, or it was deleted since
        else:
            over = close_if_over(self._workspace.ledger, run_id, lambda handed: graph_of(self._workspace, run_id, handed)) is not None
        if over:
            if len(self._over) > _REMEMBERED:
                self._over.clear()
            self._over.add(run_id)
        return not over

    def cancel(self, claims: Iterable[Mapping[str, Any]]) -> None:
        for claim in claims:
            records = self._workspace.ledger.run(claim["run"])
            records.ask_to_cancel(_REASON)
            handed = records.handed_over()
            graph = graph_of(self._workspace, claim["run"], handed) if handed and records.coordinator_gone(records.header() or {}) else None
            if graph is not None:
                graph.stop()


def graph_of(workspace: Workspace, run_id: str, handed: Mapping[str, Any]) -> Any:
    """What an engine runs of a run that was handed over to it; None where its plugin is not here."""
    try:
        own = open_workspace(snapshot=workspace.ledger.run(run_id).plan().stack, project=workspace.project)
        orchestrator: Any = own.stack.build("orchestrator")
    except (ConfigurationError, NotFound):
        return None
    return orchestrator.find(handed["address"]) if isinstance(orchestrator, GraphOrchestrator) and "address" in handed else None


def skipped_for(claims: Iterable[Mapping[str, Any]]) -> str:
    """Why a tick makes no run while these go on."""
    return f"run {', '.join(_ids(claims))} of the schedule still went on (overlap='skip')"


def _ids(claims: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (str(claim["run"]) for claim in claims)
