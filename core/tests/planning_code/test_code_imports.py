"""Imports by computed and by literal names, and the packages that reached files import."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from dovetail.planning.code import CodeIdentity, CodeReader
from dovetail.planning.code.packages import distributions_of

Identify = Callable[..., CodeIdentity]

COMPUTED = [
    "import importlib\ndef f(name):\n    return importlib.import_module(name)\n",
    "from importlib import import_module as load\ndef f(name):\n    return load(name)\n",
    "def f(name):\n    import importlib as i\n    return i.import_module('lib.' + name)\n",
    "def f(name):\n    return __import__(name)\n",
    "import builtins\ndef f(name):\n    return builtins.__import__(name)\n",
    "from importlib import import_module\ndef f(names):\n    return list(map(import_module, names))\n",
    "from importlib import import_module\ndef f(name):\n    return import_module(f'lib.{name}'), import_module('json')\n",
    "from importlib import import_module\ndef f(name):\n    return import_module('.x', package=name)\n",
    "import helpers\ndef f(name):\n    return helpers.load(name)\n",
    "import runpy\ndef f(name):\n    return runpy.run_module(name)\n",
]


@pytest.mark.parametrize("source", COMPUTED)
def test_an_import_by_a_computed_name_is_not_cached_and_says_what_to_do(identify: Identify, source: str) -> None:
    found = identify(
        {"flow.py": source, "helpers.py": "import importlib\ndef load(name):\n    return importlib.import_module(name)\n"}
    )
    assert found.uncacheable is not None
    assert "give the step cache_key=" in found.uncacheable
    assert found.uncacheable.startswith("'helpers:load'" if "helpers" in source else "'flow:f'")


def test_a_computed_import_in_code_that_is_not_reached_does_not_matter(identify: Identify) -> None:
    assert identify({"flow.py": COMPUTED[0].replace("def f", "def g") + "def f():\n    return 1\n"}).uncacheable is None


LITERAL = {
    "import_module": "import importlib\ndef f():\n    return importlib.import_module('pkg.late').g()\n",
    "import_module by keyword": "import importlib\ndef f():\n    return importlib.import_module(name='pkg.late').g()\n",
    "__import__": "def f():\n    return __import__('pkg.late')\n",
    "a relative name": "import importlib\ndef f():\n    return importlib.import_module('.late', 'pkg')\n",
    "a name below a package": "import importlib\ndef f():\n    return importlib.import_module('..late', package='pkg.sub')\n",
    "at the top": "import importlib\nlate = importlib.import_module('pkg.late')\ndef f():\n    return late.g()\n",
}


@pytest.mark.parametrize("case", LITERAL)
def test_an_import_by_a_literal_name_is_followed(identify: Identify, case: str) -> None:
    files = {
        "flow.py": LITERAL[case],
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/late.py": "def g():\n    return 1\n",
    }
    first = identify(files)
    assert first.uncacheable is None
    assert first.files[-1].name == "late.py"
    assert first.digest != identify({**files, "pkg/late.py": "def g():\n    return 2\n"}).digest


def test_an_import_relative_to_the_modules_own_package_is_followed(identify: Identify) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/flow.py": "import importlib\ndef f():\n    return importlib.import_module('.late', __package__).g()\n",
        "pkg/late.py": "def g():\n    return 1\n",
    }
    first = identify(files, "pkg.flow:f")
    assert first.uncacheable is None
    assert first.digest != identify({**files, "pkg/late.py": "def g():\n    return 2\n"}, "pkg.flow:f").digest


def test_the_packages_are_those_that_any_reached_file_imports_anywhere(identify: Identify) -> None:
    found = identify(
        {
            "flow.py": "import os, sys\nimport dovetail\nimport numpy as np\nfrom helpers import g\nimport other\ndef f():\n    return g()\n",
            "helpers.py": "def g():\n    return 1\ndef unused():\n    from yaml import safe_load\n    import not_installed_at_all\n",
            "other.py": "import pandas\n",
        }
    )
    assert found.packages == {"numpy": version("numpy"), "pyyaml": version("PyYAML")}


def test_a_package_imported_by_a_literal_name_counts(identify: Identify) -> None:
    source = "from importlib import import_module as load\ndef f():\n    return load('yaml')\n"
    assert identify({"flow.py": source}).packages == {"pyyaml": version("PyYAML")}


def test_a_project_module_is_no_package_even_under_the_name_of_one(identify: Identify) -> None:
    files = {
        "flow.py": "def f():\n    import yaml, statistics_of_mine\n    return yaml.g()\n",
        "yaml.py": "def g():\n    return 1\n",
        "statistics_of_mine.py": "",
    }
    saved = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "yaml"}
    try:
        found = identify(files)
    finally:
        sys.modules.update(saved)
    assert found.packages == {}
    assert "yaml:g" in found.parts


def test_a_project_module_may_have_the_name_of_a_standard_one(identify: Identify) -> None:
    assert (
        "sndhdr:g"
        in identify(
            {"flow.py": "from sndhdr import g\ndef f():\n    return g()\n", "sndhdr.py": "def g():\n    return 1\n"}
        ).parts
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("yaml", "PyYAML"),
        ("sklearn.linear_model", "scikit-learn"),
        ("attr", "attrs"),
        ("_pytest", "pytest"),
        ("blake3", "blake3"),
    ],
)
def test_an_import_name_leads_to_its_distribution(name: str, expected: str) -> None:
    pytest.importorskip(name.partition(".")[0])
    assert [(found.name, found.version) for found in distributions_of(name)] == [(expected.lower(), version(expected))]


@pytest.mark.parametrize("name", ["os", "xml.dom", "dovetail", "dovetail.values", "not_installed_at_all", "__main__"])
def test_what_is_standard_or_missing_has_no_distribution(name: str) -> None:
    assert distributions_of(name) == ()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(site: Path, name: str, *files: str, metadata: str = "") -> None:
    for file in files:
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    record = "".join(f"{file},,\n" for file in files)
    folder = site / (metadata or f"{name}-1.0.dist-info")
    folder.mkdir()
    if metadata:
        (folder / "top_level.txt").write_text("\n".join({file.split("/")[0].removesuffix(".py") for file in files}))
        (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: x\nVersion: 3.0\n")
    else:
        (folder / "RECORD").write_text(record)


def names(imported: str) -> list[tuple[str, str]]:
    return [(found.name, found.version) for found in distributions_of(imported)]


def test_each_member_of_a_shared_namespace_has_its_own_distribution(site: Path) -> None:
    install(site, "google", "googlesearch/__init__.py")
    install(site, "acme_cloud_storage", "acmespace/cloud/storage/__init__.py")
    install(site, "acme_cloud_core", "acmespace/cloud/core.py", "acmespace/api.py")
    assert names("acmespace.cloud.storage.Client") == [("acme-cloud-storage", "1.0")]
    assert names("acmespace.cloud.core") == [("acme-cloud-core", "1.0")]
    assert names("acmespace") == [("acme-cloud-core", "1.0"), ("acme-cloud-storage", "1.0")]


def test_a_distribution_of_the_imports_name_counts_only_if_it_holds_it(site: Path) -> None:
    install(site, "shim_of_mine", "something_else.py")
    install(site, "real_of_mine", "shim_of_mine/__init__.py")
    assert names("shim_of_mine") == [("real-of-mine", "1.0")]


def test_two_distributions_of_one_import_both_count(site: Path) -> None:
    install(site, "vision_of_mine", "vision2/__init__.py")
    install(site, "vision_of_mine_headless", "vision2/__init__.py")
    assert names("vision2") == [("vision-of-mine", "1.0"), ("vision-of-mine-headless", "1.0")]


def test_single_files_extensions_and_old_metadata_are_found(site: Path) -> None:
    install(site, "single_of_mine", "single_module.py")
    install(site, "fast_of_mine", "fast_module.cpython-311-x86_64-linux-gnu.so")
    install(site, "", "old_module.py", metadata="Old.Of_Mine-2.0-py3.11.egg-info")
    install(site, "", "bare_module.py", metadata="bare_of_mine.egg-info")
    assert names("single_module") == [("single-of-mine", "1.0")]
    assert names("fast_module") == [("fast-of-mine", "1.0")]
    assert names("old_module") == [("old-of-mine", "2.0")]
    assert names("bare_module") == [("bare-of-mine", "3.0")]


def test_import_hooks_that_fail_are_passed_over(projects: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object, target: object) -> object:
            raise RuntimeError(name)

    project, function = projects.load(
        {"flow.py": "def f():\n    from late import g\n    return g()\n", "late.py": "def g():\n    return 1\n"}
    )
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert "late:g" in CodeReader(project).identify(function).parts


def test_a_lazy_module_is_not_loaded_by_looking_at_it(projects: Any) -> None:
    project, function = projects.load(
        {"flow.py": "def f():\n    import late\n    return late.N\n", "late.py": "import loaded_for_sure\nN = 1\n"}
    )
    spec = importlib.util.find_spec("late")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules["late"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["late"])
    found = CodeReader(project).identify(function)
    del sys.modules["late"]
    assert "late:N" in found.parts
    assert "loaded_for_sure" not in sys.modules
