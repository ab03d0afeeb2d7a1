"""How steps hang together."""

from __future__ import annotations

from dovetail.testing.run_record import started_behind
from dovetail.values.plan import Status
from matrix.cases.registered import case
from matrix.site import Site


@case("Fan-out and fan-in")
def fan(site: Site) -> None:
    run = site.run("graphs:fan")
    assert run.steps["total"].output.load() == 45
    assert started_behind(run) == {}


@case("A chain")
def chain(site: Site) -> None:
    run = site.run("graphs:chain")
    assert [step.output.load() for step in run.steps.values()] == [1, 2, 4, 8, 16, 32]


@case("A diamond of two named outputs")
def diamond(site: Site) -> None:
    run = site.run("graphs:diamond")
    assert run.steps["total"].output.load() == 9 * 2 + 11 * 3
    assert started_behind(run) == {}


@case("A step placed `after` another")
def after(site: Site) -> None:
    run = site.run("graphs:one_after_another")
    assert run.status is Status.COMPLETED
    assert started_behind(run) == {}


@case("Map and gather", sliced=True)
def mapped(site: Site) -> None:
    run = site.run("graphs:mapped")
    assert [child.output.load() for child in run.steps["scaled"].children] == [0, 3, 6]
    assert run.steps["total"].output.load() == 9


@case("Map over nothing")
def mapped_over_nothing(site: Site) -> None:
    run = site.run("graphs:mapped", {"count": 0})
    assert run.steps["scaled"].output.load() == []
    assert run.steps["total"].output.load() == 0


@case("Map over what a map gave")
def mapped_twice(site: Site) -> None:
    run = site.run("graphs:mapped_twice")
    assert run.steps["total"].output.load() == 30


@case("Conditions, either way", sliced=True)
def conditions(site: Site) -> None:
    above, below = (site.run("graphs:branching", {"threshold": threshold}) for threshold in (3, 20))
    assert [name for name, step in above.steps.items() if step.status is Status.SKIPPED] == ["below", "further_below"]
    assert [name for name, step in below.steps.items() if step.status is Status.SKIPPED] == ["above"]


@case("Conditions inside conditions")
def nested_conditions(site: Site) -> None:
    skipped = {}
    for value in (1, 4, 5):
        run = site.run("graphs:nested", {"value": value})
        skipped[value] = [name for name, step in run.steps.items() if step.status is Status.SKIPPED]
    assert skipped == {1: ["large", "large_and_even", "large_and_odd"], 4: ["large_and_odd"], 5: ["large_and_even"]}
