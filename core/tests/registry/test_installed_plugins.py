"""Which plugins are installed."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import ConfigurationError
from dovetail.registry.installed import InstalledPlugin, installed_plugins, narrowed

Make = Callable[..., Path]
PLUGINS = [
    InstalledPlugin("local", "dovetail.local", "dovetail", "0.1"),
    InstalledPlugin("acme", "dovetail_acme", "dovetail-acme", "1.2"),
    InstalledPlugin("other", "other", "other-things", "1"),
]


def named(plugins: list[InstalledPlugin]) -> list[str]:
    return [plugin.name for plugin in plugins]


def test_the_look_into_the_folders_finds_what_the_standard_library_finds(
    acme: Path, distribution: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(distribution("dovetail-more", "more", "")))
    points = metadata.entry_points(group="dovetail")
    expected = {(point.name, point.value, point.dist.name, point.dist.version) for point in points if point.dist}
    assert {(p.name, p.target, p.distribution, p.version) for p in installed_plugins()} == expected
    assert {"local", "acme", "more"} <= {name for name, *_ in expected}


def test_an_archive_on_the_path_is_searched_too(tmp_path: Path) -> None:
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("zipped.py", "")
        written.writestr("zipped-3.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 3.0\n")
        written.writestr("zipped-3.0.dist-info/entry_points.txt", "[dovetail]\nzipped = zipped\n")
    assert InstalledPlugin("zipped", "zipped", "zipped", "3.0") in installed_plugins([str(archive)])


def test_a_distribution_that_the_path_names_twice_counts_once_the_first(distribution: Make) -> None:
    old = distribution("dovetail-twice", "twice", "", version="1.0")
    new = distribution("dovetail-twice", "twice", "", version="2.0")
    found = [plugin for plugin in installed_plugins([str(new), str(old), str(new)]) if plugin.name == "twice"]
    assert [plugin.version for plugin in found] == ["2.0"]


def test_the_built_in_plugin_is_there_and_first_even_where_nothing_is_installed(tmp_path: Path) -> None:
    assert [(p.name, p.target) for p in installed_plugins([str(tmp_path), str(tmp_path / "missing")])] == [
        ("local", "dovetail.local")
    ]
    assert installed_plugins()[0].built_in


def test_damaged_metadata_hides_no_other_plugin(tmp_path: Path, distribution: Make) -> None:
    good = distribution("dovetail-good", "good", "")
    damaged = tmp_path / "damaged"
    (damaged / "bad-1.dist-info").mkdir(parents=True)
    (damaged / "bad-1.dist-info" / "entry_points.txt").write_bytes(b"[dovetail]\n\xff\xfe no equals sign\n# c = d\n")
    (damaged / "worse-1.dist-info").write_text("a file where a folder should be")
    assert named(installed_plugins([str(damaged), str(good)])) == ["local", "good"]


def test_an_entry_point_may_carry_extras_and_an_object(distribution: Make) -> None:
    folder = distribution("dovetail-o", "o", "", point="o.inner : hooks [extra]")
    (plugin,) = (plugin for plugin in installed_plugins([str(folder)]) if plugin.name == "o")
    assert (plugin.target, plugin.top_level) == ("o.inner:hooks", "o")


@pytest.mark.parametrize(
    ("environ", "only", "left"),
    [
        ({}, None, ["local", "acme", "other"]),
        ({"DOVETAIL_PLUGINS": "acme"}, None, ["local", "acme"]),
        ({"DOVETAIL_PLUGINS": " other-things , "}, None, ["local", "other"]),
        ({"DOVETAIL_PLUGINS": ""}, None, ["local"]),
        ({"DOVETAIL_PLUGINS": "acme"}, [], ["local"]),
    ],
)
def test_plugins_can_be_narrowed_by_name_or_distribution(environ: dict[str, str], only: Any, left: list[str]) -> None:
    assert named(narrowed(PLUGINS, environ, only)) == left


def test_narrowing_to_a_plugin_that_is_not_there_says_so() -> None:
    with pytest.raises(ConfigurationError, match="names the plugin 'acmee', which is not installed. Did you mean 'acme'"):
        narrowed(PLUGINS, {"DOVETAIL_PLUGINS": "acmee"}, None)
