"""What runs again and what is taken from the cache."""

from __future__ import annotations

from dovetail.client.views import Run
from matrix.cases.registered import case
from matrix.site import Site


def ran(run: Run) -> list[str]:
    return [name for name, step in run.steps.items() if step.status == "completed"]


@case("A second run is all cached")
def all_cached(site: Site) -> None:
    assert ran(site.run("caching:shop")) == ["prices", "gross", "doubled", "receipt"]
    second = site.run("caching:shop")
    assert second.status == "cached"
    assert ran(second) == []


@case("A changed parameter runs what depends on it")
def changed_parameter(site: Site) -> None:
    site.run("caching:shop")
    assert ran(site.run("caching:shop", {"loaves": 3})) == ["gross", "doubled"]


@case("A changed helper, three modules away")
def changed_helper(site: Site) -> None:
    site.run("caching:shop")
    site.edit("bakery/recipes/rounding.py", "round(amount, 2)", "round(amount, 1)")
    changed = site.run("caching:shop")
    assert ran(changed)[:1] == ["gross"]
    assert "receipt" in ran(changed)
    assert "prices" not in ran(changed)


@case("A changed comment runs nothing")
def changed_comment(site: Site) -> None:
    site.run("caching:shop")
    site.edit("bakery/recipes/rounding.py", "round(amount, 2)", "round(amount, 2)  # half to even")
    assert ran(site.run("caching:shop")) == []


@case("A changed data file that a parameter names")
def changed_named_file(site: Site) -> None:
    site.run("caching:shop")
    site.edit("data/prices.csv", "rye,4.20", "rye,4.30")
    assert ran(site.run("caching:shop")) == ["prices", "gross", "doubled", "receipt"]
    site.edit("data/prices.csv", "rye,4.30", "rye,4.20")
    assert ran(site.run("caching:shop")) == []


@case("A changed data file that a step opens", sliced=True)
def changed_file(site: Site) -> None:
    site.run("caching:stock")
    assert ran(site.run("caching:stock")) == []
    site.edit("data/stock.csv", "wheat,12", "wheat,11")
    assert ran(site.run("caching:stock")) == ["stocked", "counted", "doubled"]


@case("A longer list maps only what is new")
def grown_map(site: Site) -> None:
    site.run("caching:growing", {"count": 2})
    assert ran(site.run("caching:growing", {"count": 3})) == ["numbers", "squared", "squared.2", "total"]


@case("`enable_cache=False` and `cache_key`")
def cache_options(site: Site) -> None:
    site.run("caching:mixed")
    assert ran(site.run("caching:mixed")) == ["never_cached"]
    assert ran(site.run("caching:mixed", enable_cache=False)) == ["keyed", "never_cached", "doubled"]
