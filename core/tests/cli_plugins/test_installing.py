"""`dovetail plugin install` and `uninstall`, by uv and by pip, into environments of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Wheel = Callable[..., Path]


def statuses(place) -> dict[str, str]:
    said = place.dovetail("plugin", "list", "--output", "json")
    assert said.code == 0, said
    return {row["name"]: row["status"] for row in json.loads(said.out)}


def test_a_plugin_is_installed_used_listed_and_uninstalled(place, wheel: Wheel) -> None:
    made = wheel("dovetail-toy", flavor="toy")
    said = place.dovetail("plugin", "install", made, "-y")
    assert said.code == 0, said
    assert f"{place.tool} would change" in said.err
    assert "+ dovetail-toy" in said.err
    assert "Installed plugin 'toy' (dovetail-toy 1.0)." in said.err
    assert "1 plugin can be used: toy." in said.err
    assert statuses(place)["toy"] == "installed"
    assert "toy" in place.dovetail("experiment-tracker", "flavors").out
    said = place.dovetail("integration", "uninstall", "toy", "-y")
    assert said.code == 0, said
    assert "- dovetail-toy 1.0" in said.err
    assert "toy" not in statuses(place)


def test_what_would_change_is_shown_and_nothing_changes_unless_it_is_wanted(place, wheel: Wheel) -> None:
    made = wheel("dovetail-toy", flavor="toy")
    for answer in ("n\n", None):
        said = place.dovetail("plugin", "install", made, answer=answer)
        assert said.code == 1
        assert "+ dovetail-toy" in said.err
        assert "Nothing was changed" in said.err
        assert "toy" not in statuses(place)
    assert place.dovetail("plugin", "install", made, answer="y\n").code == 0
    said = place.dovetail("plugin", "uninstall", "toy", answer="n\n")
    assert (said.code, statuses(place)["toy"]) == (1, "installed")


def test_an_official_plugin_is_available_by_its_extra_and_brings_its_libraries(place, wheel: Wheel) -> None:
    wheel("toy-sdk", "2.5")
    made = wheel("dovetail-toy", "1.2", flavor="toy", requires=("toy-sdk>=2", "dovetail>=0.1"))
    place.find_links(made.parent)
    place.say_of_dovetail("METADATA", 'Provides-Extra: toy\nRequires-Dist: dovetail-toy<2,>=1; extra == "toy"')
    assert statuses(place)["toy"] == "available"
    unknown = place.dovetail("experiment-tracker", "register", "t", "--flavor", "toy")
    assert (unknown.code, "The plugin 'toy' brings it and is not installed. Run `dovetail plugin install toy`." in unknown.err) == (2, True)
    said = place.dovetail("plugin", "install", "toy", "-y")
    assert said.code == 0, said
    assert "+ toy-sdk 2.5" in said.err
    assert statuses(place)["toy"] == "installed"
    assert place.dovetail("experiment-tracker", "register", "t", "--flavor", "toy").code == 0


def test_what_is_installed_already_is_left_as_it_is(place, wheel: Wheel) -> None:
    made = wheel("dovetail-toy", flavor="toy")
    place.find_links(made.parent)
    assert place.dovetail("plugin", "install", "dovetail-toy", "-y").code == 0
    said = place.dovetail("plugin", "install", "dovetail-toy")
    assert (said.code, said.err) == (0, "Nothing to do: dovetail-toy is installed already.\n")


def test_a_plugin_that_is_installed_and_cannot_be_used_ends_with_1(place, wheel: Wheel) -> None:
    made = wheel("dovetail-toy", source="import no_such_library\n")
    said = place.dovetail("plugin", "install", made, "-y")
    assert said.code == 1
    assert "Plugin 'toy' is broken: ModuleNotFoundError: No module named 'no_such_library'" in said.out


def test_what_the_installer_refuses_is_told_in_its_own_words(place) -> None:
    said = place.dovetail("plugin", "install", "dovetail-is-nowhere", "-y")
    assert said.code == 1
    assert f"{place.tool} failed with exit code" in said.err
    assert "dovetail-is-nowhere" in said.err
    assert "Traceback" not in said.err


def test_in_a_clone_the_plugins_are_installed_from_their_folders(place, tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    clone = tmp_path / "clone"
    assert place.dovetail("plugin", "new", "toy", "--type", "alerter", "--folder", clone / "contrib" / "toy").code == 0
    (clone / "core").mkdir()
    (clone / "core" / "pyproject.toml").write_text("")
    (info,) = place.site.glob("dovetail-*.dist-info")
    (info / "direct_url.json").write_text(json.dumps({"url": (clone / "core").as_uri(), "dir_info": {"editable": True}}))
    rows = {row["name"]: row for row in json.loads(place.dovetail("plugin", "list", "--output", "json").out)}
    assert (rows["toy"]["status"], rows["toy"]["version"]) == ("available", "0.1.0")
    said = place.dovetail("plugin", "install", "toy", "-y")
    assert said.code == 0, said
    assert "clone/contrib/toy" in said.err
    (installed,) = place.site.glob("dovetail_toy-*.dist-info")
    assert json.loads((installed / "direct_url.json").read_text())["dir_info"]["editable"] is True


def test_unknown_names_are_answered_with_near_ones_and_change_nothing(place) -> None:
    place.say_of_dovetail("METADATA", 'Provides-Extra: toyflow\nRequires-Dist: dovetail-toyflow; extra == "toyflow"')
    said = place.dovetail("plugin", "install", "toyflo", "-y")
    assert said.code == 2
    assert "There is no official plugin 'toyflo'. Did you mean 'toyflow'?" in said.err
    said = place.dovetail("plugin", "uninstall", "toyflow", "-y")
    assert said.code == 2
    assert "There is no installed plugin 'toyflow'." in said.err
    assert "Run `dovetail plugin install toyflow`." in said.err
    assert "The plugin 'local' is built in" in place.dovetail("plugin", "uninstall", "local", "-y").err


def test_without_uv_and_pip_it_is_said_what_to_install(bare_place, wheel: Wheel) -> None:
    said = bare_place.dovetail("plugin", "install", wheel("dovetail-toy", flavor="toy"), "-y")
    assert said.code == 2
    assert "Neither uv nor pip is there" in said.err
    assert "-m ensurepip" in said.err
