"""What stands in the catalog's two files, and what becomes of damage."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from dovetail_data_catalog.file import FileCatalog, page
from dovetail_data_catalog.interface import CatalogEntry

ENTRY = CatalogEntry("flights", 2, "ab" * 32, "pandas.DataFrame", size=1_234_567, pipeline="nightly", run_name="nightly-1", produced="2026-01-31T12:00:00+00:00")


@pytest.fixture
def catalog(tmp_path: Path) -> FileCatalog:
    made = FileCatalog(path=tmp_path / "catalog", title="Our data")
    made.called("ours", "file")
    return made


def test_the_page_shows_the_newest_version_of_each_artifact_and_then_all(catalog: FileCatalog) -> None:
    catalog.publish([ENTRY, CatalogEntry("flights", 1, "cd" * 32, "pandas.DataFrame"), CatalogEntry("aircraft", 1, "ef" * 32, "builtins.list", "statistics")])
    text = (catalog.path / "catalog.md").read_text(encoding="utf-8")
    assert text.startswith("# Our data\n\n| artifact | version | kind | size | pipeline | produced |\n| --- |")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert rows == ["| aircraft | 1 | statistics | 0 B |  |  |", "| flights | 2 | data | 1.2 MB | nightly | 2026-01-31 12:00 |"]
    assert re.findall(r"^- version (\d+).*`(.{12})`$", text, re.MULTILINE) == [("1", "efefefefefef"), ("2", "abababababab"), ("1", "cdcdcdcdcdcd")]


def test_no_name_or_metadata_can_break_the_page() -> None:
    text = page("<script>", [CatalogEntry("a|b\n# c", 1, "0" * 64, "t", metadata={"<img src=x>": "| --- |\n## no heading", "*b*": [1, "`x`"]})])
    assert "<script>" not in text and "<img" not in text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# &lt;script&gt;", "## a\\|b \\# c"]
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 3


def test_each_line_of_the_table_is_one_entry(catalog: FileCatalog) -> None:
    catalog.publish([ENTRY])
    (line,) = (catalog.path / "catalog.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["digest"] == ENTRY.digest


def test_what_is_known_already_is_not_written_again(catalog: FileCatalog) -> None:
    catalog.publish([ENTRY])
    before = (catalog.path / "catalog.jsonl").read_bytes()
    catalog.publish([ENTRY])
    assert (catalog.path / "catalog.jsonl").read_bytes() == before


def test_a_line_that_a_writer_left_unfinished_loses_no_other(catalog: FileCatalog) -> None:
    catalog.publish([ENTRY])
    with open(catalog.path / "catalog.jsonl", "ab") as file:
        file.write(b'{"name": "half')
    other = CatalogEntry("other", 1, "cd" * 32, "t")
    catalog.publish([other])
    assert {entry.key for entry in catalog.entries()} == {ENTRY.key, other.key}
    (problem,) = catalog.check()
    assert "'ours': 1 line of " in problem
    assert "Delete it;" in problem


def test_fields_of_a_later_version_of_the_plugin_are_passed_over(catalog: FileCatalog) -> None:
    catalog.publish([ENTRY])
    with open(catalog.path / "catalog.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"name": "new", "version": 1, "digest": "d", "type": "t", "owner": "us"}) + "\n")
    assert [entry.name for entry in catalog.entries()] == ["flights", "new"]


def test_a_folder_that_cannot_be_written_is_found_by_the_check(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    catalog = FileCatalog(path=tmp_path / "taken" / "catalog")
    (problem,) = catalog.check()
    assert "cannot write to" in problem


def test_a_catalog_that_cannot_be_written_fails_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from dovetail.testing import in_memory
    from dovetail_data_catalog.contract import producing

    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with in_memory(FileCatalog(path=tmp_path / "taken" / "catalog")):
        assert producing().status == "completed"
    assert "dovetail_run_finished of plugin 'data-catalog' failed" in caplog.text
