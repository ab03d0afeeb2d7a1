"""A plugin that fails, wherever it fails, is the affair of who uses it and of nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

CLI = ("-c", "from dovetail.cli import main; main()")
FLOW = """
    from dovetail import pipeline, step

    @step
    def one() -> int:
        return 1

    @pipeline
    def small():
        one()

    if __name__ == "__main__":
        assert small().status.value in ("completed", "cached")
"""
HEAD = "from dovetail.plugin import FlavorSpec, hookimpl\n"
TRACKER = HEAD + """
from dovetail.components import ExperimentTracker

@hookimpl
def dovetail_experiment_trackers():
    return [FlavorSpec("bad", "bad:Bad", help="Cannot be made.")]

class Bad(ExperimentTracker):
    def __post_init__(self):
        {fails}

    def start(self, step_run): ...
    def log_params(self, params): ...
    def log_metrics(self, metrics, step): ...
    def finish(self, step_run): ...
"""
FAILING = {
    "at import": "raise RuntimeError('no licence')",
    "by leaving": "import sys; sys.exit('no licence')",
    "at import, beside Exception": "class Panic(BaseException): pass\nraise Panic('no licence')",
    "at import, deep down": "import vendor_that_is_not_there",
    "in a supply hook": HEAD + "@hookimpl\ndef dovetail_orchestrators(): raise SystemExit('no licence')",
    "in a fact hook": HEAD + "\n".join(
        f"@hookimpl\ndef dovetail_{fact}(event): raise {error}('no licence')"
        for fact, error in (("run_started", "RuntimeError"), ("step_started", "SystemExit"), ("step_finished", "ValueError"), ("run_finished", "SystemExit"))
    ),
    "in a materializer hook": HEAD + "@hookimpl\ndef dovetail_materializers(): raise OSError('no licence')",
    "in a command hook": HEAD + "@hookimpl\ndef dovetail_cli_commands(): raise OSError('no licence')",
    "in a component type hook": HEAD + "@hookimpl\ndef dovetail_component_types(): raise OSError('no licence')",
    "in a constructor": TRACKER.format(fails="raise RuntimeError('no licence')"),
    "in a constructor, by leaving": TRACKER.format(fails="raise SystemExit('no licence')"),
}


@pytest.mark.parametrize("where", FAILING)
def test_a_plugin_that_fails_stops_nobody_who_does_not_use_it(where: str, programs, install_plugin: Callable[[str, str], Path]) -> None:
    install_plugin("bad", FAILING[where])
    programs.write("flow.py", FLOW)
    programs.run("flow.py")
    programs.run(*CLI, "run", "flow.py:small", "--no-cache")
    programs.run(*CLI, "stack", "check")
    assert "small" in programs.run(*CLI, "runs", "list")
    rows = {row["name"]: row for row in json.loads(programs.run(*CLI, "plugin", "list", "--output", "json"))}
    assert rows["local"]["status"] == "installed"
    expected = "installed" if where.startswith(("in a fact", "in a constructor")) else "broken"
    assert rows["bad"]["status"] == expected


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit", "OSError"])
def test_who_uses_a_component_whose_constructor_raises_is_told_which(error: str, programs, install_plugin, apply_stack) -> None:
    install_plugin("bad", TRACKER.format(fails=f"raise {error}('no licence')"))
    programs.write("stack.yaml", """
        name: on-bad
        components:
          orchestrator: default
          artifact_store: default
          experiment_tracker: {flavor: bad, name: theirs}
    """)
    programs.write("flow.py", FLOW)
    programs.run(*CLI, "stack", "apply", "stack.yaml", code=None)
    done = programs.start(*CLI, "run", "flow.py:small", "--stack", "on-bad")
    _, said = done.communicate(timeout=60)
    assert done.returncode in (1, 2)
    assert "'theirs'" in said
    assert f"{error}: no licence" in said
    assert "Traceback" not in said
    programs.run("flow.py")


def test_a_plugin_of_which_one_hook_is_refused_is_called_for_none(programs, install_plugin: Callable[[str, str], Path]) -> None:
    """Its first hooks were taken before the one that is wrong was found; they would be called with those of the next plugin."""
    install_plugin("half", HEAD + "@hookimpl\ndef dovetail_alerters(): raise OSError('called')\n@hookimpl\ndef dovetail_run_started(weather): ...\n")
    install_plugin("whole", HEAD + "@hookimpl\ndef dovetail_alerters(): return [FlavorSpec('bell', 'x:Y')]\n")
    programs.write("ask.py", """
        from dovetail.registry import Registry

        registry = Registry.load()
        assert registry.flavor("alerter", "bell").name == "bell"
        assert {info.name: info.status for info in registry.plugins()} == {"local": "installed", "half": "broken", "whole": "installed"}
    """)
    programs.run("ask.py")


def test_no_plugins_leaves_observers_out_in_the_processes_of_steps_too(programs, install_plugin: Callable[[str, str], Path]) -> None:
    install_plugin("nosy", HEAD + "@hookimpl\ndef dovetail_run_started(event): open('seen', 'w').close()\n")
    programs.write("flow.py", """
        from dovetail import pipeline, step

        @step(timeout=60)
        def one() -> bool:
            from dovetail.registry import Registry
            return "nosy" in {info.name for info in Registry.load().plugins()}

        @pipeline
        def small():
            one()
    """)
    programs.write("look.py", "from dovetail import Client\nprint(Client().list_runs(limit=1)[0].steps['one'].output.load())\n")
    for arguments, seen in ((("--no-plugins",), False), ((), True)):
        programs.run(*CLI, *arguments, "run", "flow.py:small", "--no-cache")
        assert (programs.folder / "seen").exists() is seen
        assert programs.run("look.py").strip() == str(seen)


def test_narrowing_to_some_plugins_leaves_the_others_unimported(programs, install_plugin: Callable[[str, str], Path]) -> None:
    for name in ("wanted", "unwanted"):
        install_plugin(name, f"open('imported-{name}', 'w').close()\n")
    programs.run(*CLI, "plugin", "list", env={"DOVETAIL_PLUGINS": "wanted"})
    assert sorted(path.name for path in programs.folder.glob("imported-*")) == ["imported-wanted"]
