"""Finding plugins: among sixty of them, nothing is imported that they do not need to say what they offer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COUNT = 60
MODULE = """
from dovetail.plugin import FlavorSpec, MaterializerSpec, hookimpl

@hookimpl
def dovetail_experiment_trackers():
    return [FlavorSpec("p{n}", "dovetail_p{n}.tracker:Tracker", requires=["vendor-sdk>=2"], help="Tracks.")]

@hookimpl
def dovetail_materializers():
    return [MaterializerSpec(["vendor_sdk.Thing{n}"], "dovetail_p{n}.materializer:Thing")]

@hookimpl
def dovetail_cli_commands():
    return {{"p{n}-hello": "dovetail_p{n}.commands:hello"}}
"""
TRACKER = """
from dovetail.components import ExperimentTracker

class Tracker(ExperimentTracker):
    def start(self, step_run):
        import vendor_sdk
    def log_params(self, params): ...
    def log_metrics(self, metrics, step): ...
    def finish(self, step_run): ...
"""


@pytest.fixture
def sixty(tmp_path: Path) -> Path:
    """A folder of sixty installed plugins, and of the library that all of them need, which says so when it is imported."""
    folder = tmp_path / "sixty"
    for n in range(COUNT):
        package, info = folder / f"dovetail_p{n}", folder / f"dovetail_p{n}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").write_text(MODULE.format(n=n))
        (package / "tracker.py").write_text(TRACKER)
        (package / "materializer.py").write_text("import vendor_sdk\n")
        (package / "commands.py").write_text("import vendor_sdk\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dovetail-p{n}\nVersion: 1.0\nRequires-Dist: dovetail>=0.1,<1\n")
        (info / "entry_points.txt").write_text(f"[dovetail]\np{n} = dovetail_p{n}\n")
    (folder / "vendor_sdk.py").write_text("raise SystemExit('the vendor library was imported')\n")
    (folder / "vendor_sdk-2.5.dist-info").mkdir()
    (folder / "vendor_sdk-2.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor-sdk\nVersion: 2.5\n")
    return folder


def test_what_plugins_offer_is_told_without_their_libraries(ask: Callable[..., Any], sixty: Path) -> None:
    answer = ask(
        """
        import sys
        registry = Registry.load()
        found = [len(registry.plugins()), len(registry.flavors("experiment_tracker")), len(registry.cli_commands())]
        registry.flavor("experiment_tracker", "p7")
        registry.component_class("orchestrator", "local")
        own = sorted(name for name in sys.modules if name.startswith("dovetail_p") and "." in name)
        answer = [found, own, "vendor_sdk" in sys.modules]
        """,
        sixty,
    )
    assert answer == [[COUNT + 1, COUNT + 1, COUNT], [], False]


def test_one_flavors_class_is_read_without_its_library_and_without_the_others(ask: Callable[..., Any], sixty: Path) -> None:
    answer = ask(
        """
        import sys
        made = Registry.load().component_class("experiment_tracker", "p7")
        own = sorted(name for name in sys.modules if name.startswith("dovetail_p") and "." in name)
        answer = [made.__name__, own, "vendor_sdk" in sys.modules]
        """,
        sixty,
    )
    assert answer == ["Tracker", ["dovetail_p7.tracker"], False]


@pytest.mark.usefixtures("unmeasured")
def test_finding_sixty_plugins_imports_nothing_of_the_standard_library_that_is_slow(ask: Callable[..., Any], sixty: Path) -> None:
    answer = ask(
        """
        import sys
        Registry.load().flavors("experiment_tracker")
        slow = ("importlib.metadata", "email", "zipfile", "socket", "packaging", "difflib", "tomllib")
        answer = [name for name in slow if name in sys.modules]
        """,
        sixty,
    )
    assert answer == []


def test_a_run_among_sixty_plugins_imports_none_of_their_components(programs: Any, sixty: Path) -> None:
    programs.write(
        "flow.py",
        """
        import sys
        from dovetail import pipeline, step

        @step
        def one() -> int:
            return 1

        @pipeline
        def small():
            one()

        if __name__ == "__main__":
            small()
            assert not [name for name in sys.modules if name.startswith("dovetail_p") and "." in name]
        """,
    )
    programs.run("flow.py", env={"PYTHONPATH": os.pathsep.join([str(sixty), os.environ.get("PYTHONPATH", "")])})
