"""What steps ask of whoever runs them: honoured, or refused before the run."""

from __future__ import annotations

from matrix.cases.registered import case
from matrix.site import Site


@case("Environment variables of one step alone", sliced=True)
def variables(site: Site) -> None:
    run = site.run("said:variables")
    assert [run.steps[name].output.load() for name in ("set", "not_set")] == ["très chaud", "is not set"]


@case("Resources that there are")
def resources(site: Site) -> None:
    assert site.run("said:with_resources").status == "completed"


@case("More cores than there are", sliced=True)
def many_cores(site: Site) -> None:
    site.run("said:with_many_cores")
    raise AssertionError("a run began that asks for 4096 cores")


@case("A GPU")
def gpu(site: Site) -> None:
    """An engine that has none does not start the step's container."""
    run = site.run("said:with_gpu", noted=False)
    assert run.error is None or "there is no GPU here" not in run.error, run.error
    assert run.error is None or run.steps["on_a_gpu"].log() == "", "it was started without one"


@case("A step defined inside a function")
def closure(site: Site) -> None:
    assert site.run("said:with_a_closure").steps["modest"].output.load() == 6
