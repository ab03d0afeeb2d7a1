"""What goes wrong, and what is done about it."""

from __future__ import annotations

import re

from dovetail import save_artifact
from dovetail.testing.run_record import failed_as_asked
from dovetail.values.plan import Status
from matrix.cases.registered import case
from matrix.site import Site


@case("A failure stops the run")
def failure_stops(site: Site) -> None:
    run = site.run("failing:spoiled")
    assert run.status is Status.FAILED
    assert failed_as_asked(run.steps["dough"], "builtins:ValueError", attempts=1)
    assert [run.steps[name].status for name in ("loaf", "crumbs")] == [Status.SKIPPED, Status.SKIPPED]
    traceback = (run.steps["dough"].error or {})["traceback"]
    assert 'raise ValueError(f"{flour} g make no dough")' in traceback


@case("`failure_policy: continue`")
def failure_continues(site: Site) -> None:
    run = site.run("failing:spoiled_beside")
    assert run.status is Status.FAILED
    assert run.steps["another"].output.load() == 6
    assert run.steps["never"].status is Status.SKIPPED


@case("One failed item fails its map")
def failed_child(site: Site) -> None:
    run = site.run("failing:one_of_three")
    states = {name: run.steps[name].status.value for name in ("kneaded.0", "kneaded.1", "kneaded.2", "kneaded", "baked")}
    assert states == {"kneaded.0": "completed", "kneaded.1": "failed", "kneaded.2": "completed", "kneaded": "failed", "baked": "skipped"}


@case("Retries until it succeeds, and until they end")
def retries(site: Site) -> None:
    assert site.run("failing:retried").steps["flaky"].output.load() == 3
    assert failed_as_asked(site.run("failing:retried", {"succeeds_at": 9}).steps["flaky"], "builtins:ConnectionError", attempts=4)


@case("Retry `on` some errors", sliced=True)
def retries_on(site: Site) -> None:
    run = site.run("failing:retried_on_some")
    assert run.steps["covered"].output.load() == 2
    assert failed_as_asked(run.steps["not_covered"], "builtins:LookupError", attempts=1)


@case("Timeouts", sliced=True)
def timeouts(site: Site) -> None:
    run = site.run("failing:timed")
    assert run.steps["in_time"].output.load() == 2
    assert failed_as_asked(run.steps["endless"], "dovetail.errors:StepTimeout", attempts=1)
    assert (run.steps["endless"].seconds or 0.0) < 60


@case("A failed run, resumed")
def resumed(site: Site) -> None:
    _resume(site, elsewhere=False)


@case("A failed run, resumed on another stack", sliced=True)
def resumed_elsewhere(site: Site) -> None:
    _resume(site, elsewhere=True)


def _resume(site: Site, *, elsewhere: bool) -> None:
    failed = site.run("failing:interrupted")
    assert failed.steps["oven"].status is Status.FAILED
    save_artifact(220, "heat")
    run = site.resume(failed, elsewhere=elsewhere)
    assert run.status is Status.COMPLETED, run.error
    assert run.resumes == failed.id
    assert run.steps["heated"].output.load() == 300 * 220


@case("A step replayed, one that failed and one that did not")
def replayed(site: Site) -> None:
    run = site.run("failing:spoiled")
    assert site.dovetail("replay", run.id, "flour").splitlines()[0] == "500"
    said = site.dovetail("replay", run.id, "dough", fails=True)
    line = re.search(r'failing.py", line \d+, in dough', (run.steps["dough"].error or {})["traceback"])
    assert line is not None
    assert line[0] in said, "it failed at another line"
    assert "ValueError: 500 g make no dough" in said
