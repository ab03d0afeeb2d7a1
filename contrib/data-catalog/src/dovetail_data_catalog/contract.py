"""What every data catalog keeps; authors of flavors inherit it, as they do the contracts of `dovetail.testing`."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import pytest

from dovetail import RunFailed, log_artifact_metadata, pipeline, step
from dovetail.components import Component
from dovetail.testing import Contract, in_memory
from dovetail_data_catalog.interface import CatalogEntry, DataCatalog

_ENTRY = CatalogEntry(
    "flights.clean",
    3,
    "ab" * 32,
    "pandas.DataFrame",
    "data",
    1_234_567,
    "file:///store/artifacts/abab",
    "flights",
    "20260131-1",
    "flights-1",
    "clean",
    "2026-01-31T12:00:00+00:00",
    ("gold", "größe | <b>"),
    {"rows": 7, "share": 0.25, "columns": ["a", "b"], "note": "two\nlines | *bold*", "none": None},
)


@step
def clean(rows: int) -> Annotated[list[int], "catalogued"]:
    log_artifact_metadata(artifact_name="catalogued", metadata={"rows": rows})
    return list(range(rows))


@step
def report(rows: list[int], fail: bool) -> Annotated[str, "reported"]:
    if fail:
        raise ValueError("no report")
    return f"{len(rows)} rows"


@pipeline(tags=["contract"])
def producing(rows: int = 3, fail: bool = False) -> None:
    report(clean(rows), fail)


class DataCatalogContract(Contract):
    """Fixture `catalog`: the one to try, empty."""

    def test_it_begins_empty(self, catalog: DataCatalog) -> None:
        assert list(catalog.entries()) == []

    def test_what_was_published_is_known_as_it_was(self, catalog: DataCatalog) -> None:
        catalog.publish([_ENTRY])
        assert list(catalog.entries()) == [_ENTRY]

    def test_versions_are_listed_by_name_newest_first(self, catalog: DataCatalog) -> None:
        numbers = [("b", 2), ("a", 1), ("b", 10), ("b", 9)]
        catalog.publish([dataclasses.replace(_ENTRY, name=name, version=version) for name, version in numbers])
        assert [entry.key for entry in catalog.entries()] == [("a", 1), ("b", 10), ("b", 9), ("b", 2)]

    def test_what_is_said_later_counts(self, catalog: DataCatalog) -> None:
        catalog.publish([_ENTRY])
        changed = dataclasses.replace(_ENTRY, metadata={"rows": 8})
        catalog.publish([changed])
        catalog.publish([changed])
        assert list(catalog.entries()) == [changed]

    def test_nothing_published_harms_nothing(self, catalog: DataCatalog) -> None:
        catalog.publish([])
        assert list(catalog.entries()) == []

    def test_another_instance_with_its_configuration_knows_it(self, catalog: DataCatalog) -> None:
        catalog.publish([_ENTRY])
        assert list(_alike(catalog).entries()) == [_ENTRY]

    def test_what_is_published_at_once_is_all_kept(self, catalog: DataCatalog) -> None:
        entries = [dataclasses.replace(_ENTRY, version=number) for number in range(1, 41)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda entry: _alike(catalog).publish([entry]), entries))
        assert [entry.version for entry in catalog.entries()] == list(range(40, 0, -1))

    def test_a_search_finds_by_every_word_whatever_its_case(self, catalog: DataCatalog) -> None:
        catalog.publish([_ENTRY, dataclasses.replace(_ENTRY, name="other", tags=(), metadata={})])
        assert [entry.name for entry in catalog.search("GOLD flights")] == ["flights.clean"]
        assert [entry.name for entry in catalog.search("flights")] == ["flights.clean", "other"]
        assert list(catalog.search("gold nowhere")) == []

    def test_a_run_publishes_what_it_produced(self, catalog: DataCatalog) -> None:
        with in_memory(catalog):
            run = producing()
        found = {entry.name: entry for entry in catalog.entries()}
        assert set(found) == {"catalogued", "reported"}
        entry = found["catalogued"]
        assert (entry.version, entry.pipeline, entry.run_id, entry.step) == (1, "producing", run.id, "clean")
        assert (entry.metadata["rows"], entry.type) == (3, "builtins.list")

    def test_a_run_that_failed_publishes_what_it_came_to(self, catalog: DataCatalog) -> None:
        with in_memory(catalog), pytest.raises(RunFailed):
            producing(fail=True)
        assert [entry.name for entry in catalog.entries()] == ["catalogued"]

    def test_a_new_version_stands_beside_the_old_and_a_cached_one_appears_once(self, catalog: DataCatalog) -> None:
        with in_memory(catalog):
            runs = [producing(), producing(), producing(rows=4)]
        found = [entry for entry in catalog.entries() if entry.name == "catalogued"]
        assert [(entry.version, entry.run_id) for entry in found] == [(2, runs[2].id), (1, runs[0].id)]

    def test_only_what_is_wanted_is_published(self, catalog: DataCatalog) -> None:
        chosen = _alike(catalog, only=("cata*",))
        with in_memory(chosen):
            producing()
        assert [entry.name for entry in chosen.entries()] == ["catalogued"]

    def test_its_own_check_finds_nothing_wrong(self, catalog: DataCatalog) -> None:
        assert catalog.check() == []
        catalog.publish([_ENTRY])
        assert catalog.check() == []


def _alike(catalog: DataCatalog, **changes: object) -> DataCatalog:
    made: Component = type(catalog)(**{**catalog.configuration(), **changes})
    assert isinstance(made, DataCatalog)
    return made
