"""`dovetail scheduler`: claims the ticks of a store's schedules and has a process of its own make the run of each.

All that it knows is in the ledger, so that any number of them may look after one store. A tick is claimed by creating its record,
which decides its run's id; a run begins by creating its header. Each is made once, whoever tries, and whoever dies in between.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dovetail.errors import DovetailError, StoreError
from dovetail.execution.launching import Launch, Launched, launch
from dovetail.execution.overlap import Going, skipped_for
from dovetail.execution.ticks import local, ticks_after
from dovetail.ledger import layout
from dovetail.ledger.schedules import KnownSchedules, Standing
from dovetail.ledger.ticks import Ticks
from dovetail.planning.workspace import Workspace
from dovetail.values.processes import is_alive, process_identity

ON_TIME = 60.0  # seconds after which a tick that nobody claimed was missed
MADE_UP_WITHIN = 31 * 86_400.0  # seconds back to which missed ticks are made up
MADE_UP_AT_MOST = 100  # missed ticks of one schedule, the newest
_ENDS_WITHIN = 60.0  # seconds that a run has to end which was cancelled for the next
_ALIVE_LEASE = 10 * layout.LEASE  # for a claim by a process that lives, and may have been stopped
_TRIES = 3  # processes that may end without having begun a run
_AGAIN = 8.0  # seconds before the first further try
_LOOKED_AT = 10  # claims of a schedule that is new here, whose makers may have died

Say = Callable[[str, str], None]  # the pipeline's name, and what happened


@dataclass
class _Course:
    """How far this process has come with one schedule. `backlog`: missed ticks that are still to be made up."""

    standing: Standing
    ticks: Ticks
    coming: Iterator[float]
    next: float
    backlog: list[float] = field(default_factory=list)


@dataclass
class _Watched:
    """A claim whose run has not been seen to begin."""

    standing: Standing
    ticks: Ticks
    claim: dict[str, Any]
    own: bool
    child: Launched | None = None
    tries: int = 0


class Scheduler:
    """`look` does what is due. `clock` and `start` are given by tests."""

    def __init__(self, workspace: Workspace, say: Say, clock: Callable[[], float] = time.time, start: Launch = launch) -> None:
        self._workspace = workspace
        self._say = say
        self._clock = clock
        self._start = start
        self._records = workspace.ledger.records
        self._known = KnownSchedules(self._records)
        self._going = Going(workspace, clock)
        self._courses: dict[str, _Course] = {}
        self._watched: dict[tuple[str, float], _Watched] = {}
        self._children: list[tuple[str, Launched]] = []
        self._told: set[tuple[str, str]] = set()
        self._hindered = False
        self._me = {**process_identity(), "scheduler": os.urandom(8).hex()}

    def look(self) -> float | None:
        """Do what is due; gives the moment of the next tick, None where none is known. Raises where the store cannot be read."""
        self._hindered = False
        found = {standing.name: standing for standing in self._known if standing.by_scheduler}
        if self._courses and not found and self._records.store.stat(layout.FORMAT) is None:
            raise StoreError(f"Artifact store '{self._records.store.name}' is not there any more, or is empty. See to it that it is mounted.")
        for path, problem in self._known.unreadable.items():
            self._once(path, problem)
        for name in set(self._courses) - set(found):
            del self._courses[name]
        for name, standing in found.items():
            if self._guarded(name, partial(self._follow, standing)):
                self._told = {told for told in self._told if told[0] != name}
            else:
                self._courses.pop(name, None)  # what it had come to and did not claim is found again by the ledger
        for watched in list(self._watched.values()):
            self._guarded(watched.standing.name, partial(self._tend, watched))
        self._reap()
        return min((course.next for course in self._courses.values()), default=None)

    @property
    def is_settled(self) -> bool:
        """Whether every claimed run that this process saw has begun, or cannot."""
        return not self._watched

    @property
    def is_hindered(self) -> bool:
        """Whether the store kept the last look from doing what was due."""
        return self._hindered

    def _guarded(self, name: str, do: Callable[[], None]) -> bool:
        """Whether it could be done. One schedule that cannot be kept does not keep others from running."""
        try:
            do()
        except (DovetailError, OSError) as error:
            self._hindered = self._hindered or isinstance(error, (StoreError, OSError))
            self._once(name, str(error))
        except Exception as error:
            self._once(name, f"{type(error).__name__}: {error}")
        else:
            return True
        return False

    def _once(self, name: str, text: str) -> None:
        if (name, text) not in self._told:
            self._told.add((name, text))
            self._say(name, text)

    # -- ticks ---------------------------------------------------------------------------------------------------------

    def _follow(self, standing: Standing) -> None:
        if standing.paused is not None:
            self._courses.pop(standing.name, None)
            return
        course = self._courses.get(standing.name)
        if course is None or (course.standing.number, course.standing.since) != (standing.number, standing.since):
            self._check_stack(standing)
            course = self._courses[standing.name] = self._begun(standing)
        on_time = self._come(course)
        dropped = self._drop(course, on_time)
        for due in on_time:
            self._due(course, due)
        self._make_up(course)
        if dropped:  # not before the rest is done, since else all of it is found and said again
            self._say(standing.name, dropped)

    def _begun(self, standing: Standing) -> _Course:
        """Where the ledger says that this schedule stands: what was claimed is left alone, but for claims whose makers may have died."""
        ticks = Ticks(self._records, standing.name)
        last = 0.0
        for claim in itertools.islice(ticks.newest(), _LOOKED_AT):
            last = max(last, claim["due"])
            self._watch(standing, ticks, claim)
        oldest = max(standing.since, self._clock() - MADE_UP_WITHIN)
        return self._course(standing, ticks, oldest if standing.record.get("missed") == "all" else max(oldest, last))

    def _come(self, course: _Course) -> list[float]:
        """The ticks that have come since the last look, on time; of the others those that nobody claimed go to the backlog."""
        now = self._clock()
        on_time: list[float] = []
        late: list[float] = []
        while course.next <= now:
            (on_time if now - course.next <= ON_TIME else late).append(course.next)
            course.next = next(course.coming, math.inf)
        if late:
            claimed = course.ticks.claimed_since(late[0])
            course.backlog += [tick for tick in late if tick not in claimed]
        return on_time

    def _course(self, standing: Standing, ticks: Ticks, start: float) -> _Course:
        coming = ticks_after(standing.record, start)
        return _Course(standing, ticks, coming, next(coming, math.inf))

    def _check_stack(self, standing: Standing) -> None:
        """Raises where this machine has not the plugins of the schedule's stack, so that another scheduler may claim its ticks."""
        for kind, entry in standing.record["plan"]["stack"]["components"].items():
            self._workspace.registry.component_class(kind, entry["flavor"])

    def _drop(self, course: _Course, on_time: list[float]) -> str:
        """Forget what the policy does not make up; gives what is to be said of it."""
        policy = course.standing.record.get("missed", "latest")
        kept = {"skip": 0, "latest": 0 if on_time else 1}.get(policy, MADE_UP_AT_MOST)
        dropped = len(course.backlog) - kept
        if dropped <= 0:
            return ""
        first, last = (self._words(course, course.backlog[number]) for number in (0, dropped - 1))
        del course.backlog[:dropped]
        span = f"the tick of {first}" if dropped == 1 else f"{dropped} ticks, of {first} to {last},"
        return f"{span} missed: no scheduler was there (missed={policy!r})"

    def _make_up(self, course: _Course) -> None:
        """One after another, whatever the overlap policy is: they would not have come at once."""
        while course.backlog and not self._going.of(course.ticks):
            if not self._due(course, course.backlog.pop(0)):
                return

    def _due(self, course: _Course, due: float) -> bool:
        """Claim a tick, for a run or for none; False where somebody else had."""
        overlap = course.standing.record.get("overlap", "skip")
        going = self._going.of(course.ticks) if overlap != "allow" else []
        now = self._clock()
        claim: dict[str, Any] = {"at": now, "schedule": course.standing.number, "by": self._me}
        if going and overlap == "skip":
            claim["why"] = skipped_for(going)
        else:
            claim |= {"run": layout.new_run_id(now), "after": [each["run"] for each in going]}
        if not course.ticks.claim(due, claim):
            counts = course.ticks.find(due)
            if counts is not None:
                self._watch(course.standing, course.ticks, counts)
            return False
        self._watch(course.standing, course.ticks, {**claim, "due": due})
        if "why" in claim:
            self._say(course.standing.name, f"the tick of {self._words(course, due)} skipped: {claim['why']}")
            return True
        if going:
            self._say(course.standing.name, f"run {', '.join(claim['after'])} is cancelled for the tick of {self._words(course, due)} (overlap='cancel')")
        return True

    def _words(self, course: _Course | _Watched, due: float) -> str:
        return local(course.standing.record, due).strftime("%Y-%m-%d %H:%M %Z")

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _watch(self, standing: Standing, ticks: Ticks, claim: dict[str, Any]) -> None:
        if "run" in claim and "by" in claim:
            self._watched.setdefault((standing.name, claim["due"]), _Watched(standing, ticks, claim, own=claim["by"] == self._me))

    def _tend(self, watched: _Watched) -> None:
        """See to it that the run of a claim begins, though not before those that were cancelled for it have ended."""
        if self._has_begun(watched) or self._is_settled(watched):
            del self._watched[watched.standing.name, watched.claim["due"]]
        elif self._must_wait(watched):
            return
        elif watched.tries < _TRIES:
            watched.tries += 1
            path = f"{layout.schedules(watched.standing.name)}/{watched.claim['schedule']}.json"  # which may have been replaced since
            watched.child = self._start(self._workspace, path, watched.claim["due"], watched.claim["run"])
            again = "" if watched.own and watched.tries == 1 else " again, since who had claimed it did not begin it"
            self._say(watched.standing.name, f"the tick of {self._words(watched, watched.claim['due'])}: run {watched.claim['run']} is started{again}")
        else:
            said = watched.child.said() if watched.child is not None else ""
            watched.ticks.settle(watched.claim["due"], {"at": self._clock(), "why": said or "the process that was to make the run ended and said nothing"})

    def _has_begun(self, watched: _Watched) -> bool:
        if self._records.store.stat(f"{layout.run(watched.claim['run'])}/run.json") is None:
            return False
        if watched.child is not None:
            self._children.append((watched.standing.name, watched.child))
        return True

    def _is_settled(self, watched: _Watched) -> bool:
        settled = watched.ticks.settled(watched.claim["due"])
        if settled is not None and "why" in settled and watched.child is not None:
            self._say(watched.standing.name, f"the tick of {self._words(watched, watched.claim['due'])} makes no run: {settled['why']}")
        return settled is not None

    def _must_wait(self, watched: _Watched) -> bool:
        claim = watched.claim
        if watched.child is not None and watched.child.code() is None:
            return True
        passed = self._clock() - claim["at"]
        if not watched.own and watched.tries == 0:
            alive = is_alive(claim["by"])
            if alive is not False and passed < (_ALIVE_LEASE if alive else layout.LEASE):
                return True
        if watched.tries > 0 and passed < _AGAIN * watched.tries:
            return True  # what kept it from beginning may pass
        ids = set(claim.get("after", ()))
        earlier = [each for each in self._going.of(watched.ticks, but=claim["due"]) if each["run"] in ids] if ids else []
        self._going.cancel(earlier)  # by whoever comes to it, since the claim's maker may have died before
        return bool(earlier) and passed < _ENDS_WITHIN

    def _reap(self) -> None:
        """Say how the runs ended that this process had started."""
        for name, child in list(self._children):
            if child.code() is not None:
                self._children.remove((name, child))
                status = (self._workspace.ledger.run(child.run_id).finished() or {}).get("status", "lost")
                self._say(name, f"run {child.run_id} {status}")
                child.forget(keep=status not in ("completed", "cached"))


WAKES = 10.0  # seconds in which schedules that are new, paused or ended are seen
_WAKES_BEGINNING = 1.0  # while the process of a run is on its way


def keep_looking(scheduler: Scheduler, wait: Callable[[float], bool], say: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
    """Look until `wait`, which is given seconds, says that it is enough. A store that cannot be reached is said once and tried again."""
    away = ""
    while True:
        coming: float | None = None
        try:
            coming = scheduler.look()
        except Exception as error:  # a client library may raise its own
            if not away:
                say(f"the schedules cannot be read, and are tried again every {WAKES:.0f} s: {error}")
            away = str(error)
        else:
            if away:
                say("the schedules can be read again")
            away = ""
        longest = WAKES if scheduler.is_settled else _WAKES_BEGINNING
        if wait(min(longest, max(coming - clock(), 0.0)) if coming is not None else longest):
            return
