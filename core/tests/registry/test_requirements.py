"""Which requirements are met, and which plugins Dovetail knows by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dovetail.registry.installed import installed_plugins
from dovetail.registry.official import official_plugin, official_plugins
from dovetail.registry.requirements import allows, parsed, unmet_requirements

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("specifier", "version", "allowed"),
    [
        ("", "1.0", True),
        (">=1.2", "1.10", True),
        (">=1.2,<2", "2.0", False),
        (">=1.2,<2", "1.99.3", True),
        (">=1.0", "1", True),
        (">=1", "1.0.0", True),
        ("<1.0", "1", False),
        ("~=1.4", "1.9", True),
        ("~=1.4", "2.0", False),
        ("!=1.3.*", "1.3.7", False),
        ("==1.3.*", "1.3.7", True),
        (">=2.0rc1", "2.0rc2", True),
        (">=2", "2.0rc1", False),
        (">=1.9", "2.0.dev3", True),
        (">=1", "1!0.5", True),
        ("what is this", "1.0", True),
        (">=1", "not a version", True),
    ],
)
def test_ranges_mean_what_installers_take_them_for(specifier: str, version: str, allowed: bool) -> None:
    assert allows(specifier, version) is allowed


@pytest.mark.parametrize(
    "text", ["a", "a>=1", "a >= 1, < 2", "a[b,c]>=1", "a (>=1,<2)", "a-b.c_d~=1.0", "a>=1; python_version < '3.11'", "a[b] ; extra == 'x'"]
)
def test_the_parts_of_a_requirement_are_those_that_installers_see(text: str) -> None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    known, found = Requirement(text), parsed(text)
    assert (found.name, SpecifierSet(found.specifier)) == (known.name, known.specifier)
    assert bool(found.marker) is bool(known.marker)


def test_what_is_missing_is_told_from_what_is_another_version_and_from_what_is_not_meant() -> None:
    unmet = unmet_requirements(["pluggy", "no-such-sdk>=2", "click<0.1", "no-sdk; python_version < '3'", "no-sdk; extra == 'x'"])
    assert [each.requirement for each in unmet] == ["no-such-sdk>=2", "click<0.1"]
    assert str(unmet[0]) == "no-such-sdk>=2, which is not installed"
    assert str(unmet[1]).startswith("click<0.1, and 8.")


@pytest.mark.parametrize(
    ("lines", "core"),
    [
        ("Requires-Dist: dovetail>=0.2,<1", ">=0.2,<1"),
        ("Requires-Dist: dovetail (>=0.2)", ">=0.2"),
        ("Requires-Dist: Dovetail[testing] >=0.2rc1 ; python_version >= '3.10'", ">=0.2rc1"),
        ("Requires-Dist: dovetail-other>=3\nRequires-Dist: dovetail_more>=4", ""),
        ("Requires-Dist: dovetail>=0.1\nRequires-Dist: dovetail[testing]>=5; extra == 'test'", ">=0.1"),
        ("Requires-Dist: dovetail", ""),
    ],
)
def test_the_dovetail_that_a_plugin_asks_for_is_read_from_its_metadata(lines: str, core: str, tmp_path: Path) -> None:
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n{lines}\n\nRequires-Dist: dovetail>=77\n")
    (info / "entry_points.txt").write_text("[dovetail]\nodd = odd\n")
    (found,) = (plugin for plugin in installed_plugins([str(tmp_path)]) if plugin.name == "odd")
    assert found.core == core
    (archived,) = (plugin for plugin in installed_plugins([str(tmp_path), __file__]) if plugin.name == "odd")  # a file: the other way to look
    assert archived.core.replace(" ", "") == core


def test_official_plugins_are_known_by_extra_and_by_distribution() -> None:
    known = official_plugins()
    assert all(plugin.distribution.startswith("dovetail-") for plugin in known.values())
    for name, plugin in known.items():
        assert official_plugin(name.upper(), known) == official_plugin(plugin.distribution.replace("-", "_"), known) == plugin
    assert official_plugin("testing", known) is None


def test_every_plugin_of_the_clone_is_an_extra_of_the_core_with_a_range() -> None:
    extras = dict(re.findall(r'^(\S+) = \["(dovetail-\S+)"\]$', (ROOT / "core" / "pyproject.toml").read_text(), re.MULTILINE))
    folders = [path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")] + [path.parent.name for path in ROOT.glob("contrib/*/pyproject.toml")]
    for name in folders:
        assert re.fullmatch(rf"dovetail-{name}>=[\d.]+,<[\d.]+", extras.get(name, "")), f"no extra leads to {name}"


@pytest.mark.parametrize(
    ("flavor", "said"),
    [
        ("toyflow", "The plugin 'toyflow' brings it and is not installed. Run `dovetail plugin install toyflow`."),
        ("dovetail_toyflow", "Run `dovetail plugin install toyflow`."),
        ("toyflw", "Did you mean 'toyflow'? Run `dovetail plugin install toyflow`, which brings it."),
        ("else", "Plugins that are not installed: toyflow. If a plugin from elsewhere brings it, install that, by convention `pip install dovetail-else`."),
        ("shut-out", "The plugin 'shut-out' is installed, and DOVETAIL_PLUGINS or --no-plugins leaves it out; let it in."),
    ],
)
def test_for_an_unknown_flavor_it_is_said_which_plugin_to_install(flavor: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dovetail.errors import NotFound
    from dovetail.registry import Registry, official

    known = {"toyflow": official.OfficialPlugin("toyflow", "dovetail-toyflow", "dovetail-toyflow>=1")}
    if flavor == "shut-out":
        known = {flavor: official.OfficialPlugin(flavor, f"dovetail-{flavor}", f"dovetail-{flavor}>=1")}
        (tmp_path / "dovetail_shut_out-1.0.dist-info").mkdir()
        (tmp_path / "dovetail_shut_out-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: dovetail-shut-out\nVersion: 1.0\n")
        (tmp_path / "dovetail_shut_out-1.0.dist-info" / "entry_points.txt").write_text("[dovetail]\nshut-out = shut_out\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(official, "official_plugins", lambda: known)
    with pytest.raises(NotFound) as caught:
        Registry.load(only=[]).flavor("experiment_tracker", flavor)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"There is no experiment tracker flavor '{flavor}'.")
