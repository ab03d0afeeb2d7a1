"""Wheels of what is installed, and what a requirement needs."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dovetail.errors import ConfigurationError
from dovetail.planning import wheels

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"


def install(site: Path, name: str, files: dict[str, str], version: str = "1.0", more: str = "", **info: str) -> None:
    """A distribution as an installer leaves it. `info`: further files of its metadata folder."""
    folder = f"{name}-{version}.dist-info"
    whole = {**files, f"{folder}/METADATA": _METADATA.format(name=name, version=version, more=more)}
    whole[f"{folder}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    whole |= {f"{folder}/{key}": text for key, text in info.items()}
    for path, text in whole.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    (site / folder / "RECORD").write_text("".join(f"{path},,\n" for path in [*whole, f"{folder}/RECORD"]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def names(wheel: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(wheel)).namelist())


def test_the_same_files_make_the_same_bytes(site: Path) -> None:
    install(site, "bread", {"bread/__init__.py": "x = 1\n"})
    first = wheels.wheel_of("bread")
    (site / "bread" / "__init__.py").touch()
    assert wheels.wheel_of("bread") == first
    (site / "bread" / "__init__.py").write_text("x = 2\n")
    assert wheels.wheel_of("bread")[1] != first[1]


def test_what_an_installer_left_and_compiled_is_not_shipped(site: Path) -> None:
    files = {"bread/__init__.py": "", "bread/data.bin": "x", "bread/__pycache__/a.cpython-311.pyc": "", "../bin/bake": "#!python\n"}
    more = {"INSTALLER": "pip", "entry_points.txt": "[console_scripts]\nbake = bread:main\n", "direct_url.json": "{}"}
    install(site, "bread", files, **more)
    name, content = wheels.wheel_of("bread")
    info = "bread-1.0.dist-info"
    assert name == "bread-1.0-py3-none-any.whl"
    assert names(content) == {"bread/__init__.py", "bread/data.bin", *(f"{info}/{each}" for each in ("METADATA", "WHEEL", "entry_points.txt", "RECORD"))}


def test_an_editable_distribution_is_shipped_from_its_sources(site: Path, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for path in ("bread/__init__.py", "bread/inner/crumb.py", "bread/__pycache__/x.pyc", "bread/.hidden/y.py"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("x = 1\n")
    install(site, "bread", {"_bread.pth": f"{source}\n"}, **{"direct_url.json": '{"dir_info": {"editable": true}}'})
    found = names(wheels.wheel_of("bread")[1])
    assert {name for name in found if "dist-info" not in name} == {"bread/__init__.py", "bread/inner/crumb.py"}


def test_a_flat_editable_distribution_ships_its_own_package_alone(site: Path, tmp_path: Path) -> None:
    for path in ("bread/__init__.py", "tests/__init__.py", "setup.py"):
        (tmp_path / "flat" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "flat" / path).write_text("")
    install(site, "bread", {"_bread.pth": f"{tmp_path / 'flat'}\n"})
    assert {name for name in names(wheels.wheel_of("bread")[1]) if "dist-info" not in name} == {"bread/__init__.py"}


def test_a_mapping_of_setuptools_is_followed(site: Path, tmp_path: Path) -> None:
    (tmp_path / "odd" / "place").mkdir(parents=True)
    (tmp_path / "odd" / "place" / "__init__.py").write_text("")
    finder = f"import sys\nMAPPING: dict[str, str] = {{'bread': {str(tmp_path / 'odd' / 'place')!r}}}\nNAMESPACES: dict = {{}}\n"
    files = {"__editable__.bread-1.0.pth": "import __editable___bread_1_0_finder; __editable___bread_1_0_finder.install()", "__editable___bread_1_0_finder.py": finder}
    install(site, "bread", files)
    assert {name for name in names(wheels.wheel_of("bread")[1]) if "dist-info" not in name} == {"bread/__init__.py"}


def test_a_wheel_of_dovetail_works_where_it_is_installed(tmp_path: Path) -> None:
    name, content = wheels.wheel_of("dovetail")
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path / "there")
    asked = "import dovetail, importlib.metadata as m; print(dovetail.__file__, m.version('dovetail'), [e.name for e in m.entry_points(group='dovetail')])"
    done = subprocess.run([sys.executable, "-c", asked], env={"PYTHONPATH": str(tmp_path / "there")}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(tmp_path / "there" / "dovetail"))
    assert "'local'" in done.stdout
    assert re.fullmatch(r"dovetail-[\d.]+-py3-none-any\.whl", name)


def test_what_a_requirement_needs_is_followed_through_extras_and_markers(site: Path) -> None:
    needs = (
        'Requires-Dist: flour>=1\nRequires-Dist: windows-oven; sys_platform == "win32"\nRequires-Dist: butter; extra == "rich"\nRequires-Dist: absent\n'
        "Provides-Extra: rich\n"
    )
    install(site, "bread", {}, more=needs)
    install(site, "flour", {}, version="2.1", more="Requires-Dist: bread\n")
    install(site, "butter", {}, version="3")
    install(site, "windows_oven", {})
    linux = {"sys_platform": "linux"}
    assert wheels.closure_of(["Bread"], linux) == {"bread": "1.0", "flour": "2.1"}
    assert wheels.closure_of(["bread[rich]"], linux) == {"bread": "1.0", "butter": "3", "flour": "2.1"}
    assert wheels.closure_of(["bread"], {"sys_platform": "win32"}) == {"bread": "1.0", "flour": "2.1", "windows-oven": "1.0"}


def test_what_came_from_an_index_is_not_shipped(site: Path) -> None:
    install(site, "bread", {})
    install(site, "rolls", {}, **{"direct_url.json": '{"url": "file:///x", "dir_info": {}}'})
    install(site, "cake", {}, **{"direct_url.json": '{"url": "file:///feedstock"}', "INSTALLER": "conda\n"})
    assert wheels.unreleased("bread") is None
    assert wheels.unreleased("cake") is None
    found = wheels.unreleased("rolls")
    assert found is not None
    assert hashlib.sha256(wheels.kept_wheel(*found)).hexdigest() == found[1]


def test_the_wheel_that_was_planned_with_is_kept_when_sources_change(site: Path) -> None:
    install(site, "scone", {"scone.py": "x = 1\n"}, **{"direct_url.json": "{}"})
    found = wheels.unreleased("scone")
    assert found is not None
    (site / "scone.py").write_text("x = 2\n")
    assert hashlib.sha256(wheels.kept_wheel(*found)).hexdigest() == found[1]
    with pytest.raises(ConfigurationError, match="The sources of scone changed after the run was planned"):
        wheels.kept_wheel(found[0], "0" * 64)


def test_what_is_not_installed_is_told(site: Path) -> None:
    with pytest.raises(ConfigurationError, match="'no-such-thing' is not installed here"):
        wheels.wheel_of("no-such-thing")
