"""On a service that fails now and then, answers too late, or not at all though it did what it was asked, the ledger keeps its promises."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.ledger.verifying import verify
from dovetail.testing.given import alike
from dovetail.values.plan import Status
from dovetail_aws.artifact_store import S3ArtifactStore
from front import CUT, DROP, LOSE, SLOW_DOWN, Fault, Front, Request, said

TIMEOUT = 1.0
FAULTS = [DROP, LOSE, SLOW_DOWN, CUT, said(500, "InternalError"), Fault(delay=1.5 * TIMEOUT), Fault(delay=0.3)]


def now_and_then(rate: float, seed: int) -> Callable[[Request], Fault | None]:
    rng, lock = random.Random(seed), threading.Lock()

    def choose(_: Request) -> Fault | None:
        with lock:
            return rng.choice(FAULTS) if rng.random() < rate else None

    return choose


@pytest.mark.parametrize(("rate", "seed"), [(0.01, 1), (0.05, 2)])
def test_a_run_is_what_it_would_have_been(
    project: Any, make_store: Callable[..., Any], watched: Front, rate: float, seed: int
) -> None:
    store = make_store(endpoint_url=watched.url, read_timeout=TIMEOUT)
    with watched.faulty(now_and_then(rate, seed)):
        trial = project.on(store)
        first = trial.run(project.steps.diamond, size=5)
        wide = trial.run(project.steps.wide, start=7)
        again = project.on(alike(store)).run(project.steps.diamond, size=5)
    assert watched.made, "no fault was met"
    assert [run.status for run in (first, wide, again)] == [Status.COMPLETED, Status.COMPLETED, Status.CACHED]
    assert first.steps["summed"].output.load() == again.steps["summed"].output.load() == 25
    assert {name: step.output.load() for name, step in wide.steps.items() if name != "source"} == {
        name: [0, 2, 4, 6, 8, 10, 12] for name in wide.steps if name != "source"
    }
    found = verify(trial.client.ledger)
    assert found.is_sound, found.findings
    assert (found.void, found.unfinished) == (0, 0)
    numbers = [number for number, _ in trial.client.ledger.versions.artifacts("wide.doubled.output")]
    assert len(numbers) == len(set(numbers))


def test_an_outcome_is_committed_once_though_every_answer_to_it_gets_lost(
    project: Any, make_store: Callable[..., Any], watched: Front
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)

    def lose_commits(request: Request) -> Fault | None:
        return LOSE if request.method == "PUT" and request.path.endswith(("/outcome.json", "/finished.json", "run.json")) else None

    with watched.faulty(lose_commits):
        run = project.on(store).run(project.steps.diamond)
    assert run.status is Status.COMPLETED
    assert watched.made["lose"] == 5
    assert verify(project.on(make_store()).client.ledger).is_sound


def test_a_run_on_a_store_that_went_away_ends_with_a_sentence_and_can_be_resumed(
    project: Any, make_store: Callable[..., S3ArtifactStore], watched: Front
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    trial = project.on(store)
    gone = threading.Event()

    def go_away(request: Request) -> Fault | None:
        if request.path.endswith("doubled/outcome.json"):
            gone.set()
        return DROP if gone.is_set() else None

    with watched.faulty(go_away), pytest.raises(OSError, match="could not be asked for .* Check `endpoint_url`"):
        trial.run(project.steps.diamond)
    found = verify(project.on(make_store()).client.ledger)
    assert found.is_sound, found.findings
    assert trial.run(project.steps.diamond).steps["summed"].output.load() == 9


def test_a_store_that_cannot_be_asked_is_not_taken_for_a_damaged_one(
    project: Any, make_store: Callable[..., Any], watched: Front
) -> None:
    ledger = project.on(make_store(endpoint_url=watched.url, attempts=1)).client.ledger
    project.on(make_store()).run(project.steps.diamond)
    before = sorted(path for path, _ in make_store().walk(""))
    with watched.faulty(lambda request: DROP if "/data/" in request.path else None), pytest.raises(OSError, match="could not be asked"):
        verify(ledger, repair=True)
    assert sorted(path for path, _ in make_store().walk("")) == before
