"""Values of every kind, one materializer family after the other."""

from __future__ import annotations

from dovetail.client.views import Run
from matrix.cases.registered import case
from matrix.site import Site

SMALL, LARGE = 2, 96  # megabytes; the large one moves in several parts


def travelled(site: Site, where: str) -> Run:
    run = site.run(where)
    assert run.status == "completed", run.error
    for step in run.steps.values():
        for output in step.outputs.values():
            output.load()
    return run


@case("JSON values and containers")
def json_containers(site: Site) -> None:
    travelled(site, "values:json")


@case("Bytes, files and folders", sliced=True)
def files(site: Site) -> None:
    travelled(site, "values:files")


@case("NumPy")
def numpy(site: Site) -> None:
    travelled(site, "values:numpy")


@case("pandas")
def pandas(site: Site) -> None:
    travelled(site, "values:pandas")


@case("Polars")
def polars(site: Site) -> None:
    travelled(site, "values:polars")


@case("PyArrow")
def arrow(site: Site) -> None:
    travelled(site, "values:arrow")


@case("SciPy sparse matrices")
def sparse(site: Site) -> None:
    travelled(site, "values:sparse")


@case("scikit-learn")
def sklearn(site: Site) -> None:
    assert travelled(site, "values:sklearn").steps["predicted"].output.load() == [0, 1]


@case("Pillow images")
def pictures(site: Site) -> None:
    travelled(site, "values:pictures")


@case("Matplotlib figures")
def figures(site: Site) -> None:
    travelled(site, "values:figures")


@case("Dataclasses, enums, dates, pydantic models")
def own_types(site: Site) -> None:
    travelled(site, "values:own_types")


@case("A materializer of the project's own")
def own_materializer(site: Site) -> None:
    run = travelled(site, "values:own_materializer")
    assert run.steps["driven"].output.load() == ["home", "市场", "Bäckerei"]


@case("A class that only pickle can keep")
def pickled(site: Site) -> None:
    travelled(site, "values:pickled")


@case("A big file")
def big(site: Site) -> None:
    run = site.run("values:big", {"megabytes": LARGE if site.whole else SMALL})
    assert run.steps["large"].output.size >= SMALL << 20


@case("Unicode in names, text and paths", sliced=True)
def unicode(site: Site) -> None:
    run = travelled(site, "names:bäckerei")
    assert run.steps["größe"].outputs["数据"].load() == "STRASSE №5 \u202b🥐"
    assert run.steps["wörter"].output.load()[-1] == "пирог,2"
