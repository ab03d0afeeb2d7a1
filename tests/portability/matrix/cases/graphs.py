"""How steps hang together."""

from __future__ import annotations

from dovetail.values.plan import Status
from matrix.cases.registered import case
from matrix.site import Site


@case("Fan-out and fan-in", sliced=True)
def fan(site: Site) -> None:
    run = site.run("graphs:fan")
    assert run.steps["total"].output.load() == 45


@case("A chain")
def chain(site: Site) -> None:
    run = site.run("graphs:chain")
    assert [step.output.load() for step in run.steps.values()] == [1, 2, 4, 8, 16, 32]


@case("A diamond of two named outputs")
def diamond(site: Site) -> None:
    run = site.run("graphs:diamond")
    assert run.status is Status.COMPLETED
    assert run.steps["total"].output.load() == 9 * 2 + 11 * 3
