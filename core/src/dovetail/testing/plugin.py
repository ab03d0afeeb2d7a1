"""What every plugin keeps: declaring costs next to nothing, and what is declared is there, documented and usable."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.registry import Registry
from dovetail.registry.installed import installed_plugins
from dovetail.stack.validation import schema, validate
from dovetail.testing.contract import Contract
from dovetail.testing.trial import TrialProject
from dovetail.values.names import is_name

_HEAVY = {
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "sklearn",
    "torch",
    "tensorflow",
    "pydantic",
    "rich",
    "yaml",
    "fsspec",
    "requests",
}


class PluginContract(Contract):
    """Fixture `plugin`: the import name of the entry point's module. The plugin has to be installed."""

    @pytest.fixture
    def declared(self, plugin: str) -> dict[str, Any]:
        """What it declares, read in a process of its own."""
        return _read(plugin)

    @pytest.fixture
    def own(self, plugin: str) -> list[tuple[str, str]]:
        """(component type, flavor) of all that it declares."""
        names = {each.name for each in installed_plugins() if each.target.partition(":")[0] == plugin}
        listed = [info for info in Registry.load().plugins() if info.name in names]
        return [(kind, flavor) for info in listed for kind, flavors in info.flavors.items() for flavor in flavors]

    def test_an_entry_point_names_it(self, declared: dict[str, Any], plugin: str) -> None:
        assert declared["found"], (
            f'No installed distribution has an entry point for it: [project.entry-points.dovetail] name = "{plugin}"'
        )

    def test_it_declares_something_and_is_not_broken(self, declared: dict[str, Any]) -> None:
        assert (declared["problem"], declared["broken"]) == ("", [])
        assert any(declared[what] for what in ("flavors", "materializers", "commands", "component_types", "observed"))

    def test_declaring_imports_nothing_that_it_requires(self, declared: dict[str, Any]) -> None:
        assert declared["imported_required"] == []

    def test_declaring_imports_no_heavy_library(self, declared: dict[str, Any]) -> None:
        assert set(declared["modules"]) & _HEAVY == set()

    def test_declaring_does_nothing_else(self, declared: dict[str, Any]) -> None:
        """No file, process, connection, thread, variable, set-up of logging or line of output: whoever types `dovetail` would have it."""
        assert declared["deeds"] == []

    def test_every_flavor_can_be_read_without_what_it_requires(self, declared: dict[str, Any]) -> None:
        assert {flavor["name"]: flavor["problem"] for flavor in declared["flavors"] if flavor["problem"]} == {}

    def test_every_flavor_implements_its_interface(self, declared: dict[str, Any]) -> None:
        assert {flavor["name"]: flavor["abstract"] for flavor in declared["flavors"] if flavor["abstract"]} == {}

    def test_every_flavor_has_one_line_of_help(self, declared: dict[str, Any]) -> None:
        bad = [flavor["name"] for flavor in declared["flavors"] if not flavor["help"].strip() or "\n" in flavor["help"]]
        assert bad == []

    def test_every_flavor_is_documented_in_its_class(self, declared: dict[str, Any]) -> None:
        assert [flavor["name"] for flavor in declared["flavors"] if not flavor["documented"]] == []

    def test_every_field_has_help(self, declared: dict[str, Any]) -> None:
        """It is what `--help` of the command line shows, and what the schema says."""
        assert {flavor["name"]: flavor["without_help"] for flavor in declared["flavors"] if flavor["without_help"]} == {}

    def test_every_name_passes_the_check(self, own: list[tuple[str, str]], declared: dict[str, Any]) -> None:
        assert [flavor for _, flavor in own if not is_name(flavor)] == []
        assert len(own) == len(declared["flavors"]), "two flavors of one type have one name"

    def test_every_requirement_can_be_installed_by_pip(self, declared: dict[str, Any]) -> None:
        assert {flavor["name"]: flavor["odd_requirements"] for flavor in declared["flavors"] if flavor["odd_requirements"]} == {}

    def test_every_capability_is_one(self, declared: dict[str, Any]) -> None:
        assert {flavor["name"]: flavor["odd_capabilities"] for flavor in declared["flavors"] if flavor["odd_capabilities"]} == {}

    def test_every_configuration_has_a_schema(self, own: list[tuple[str, str]]) -> None:
        registry = Registry.load()
        for kind, flavor in own:
            described = schema(registry.declared_class(kind, flavor))
            assert json.loads(json.dumps(described)) == described
            assert {"title", "properties", "required"} <= set(described), flavor
            assert all("type" in about or "anyOf" in about or "$ref" in about for about in described["properties"].values()), (
                flavor
            )

    def test_a_field_that_does_not_exist_is_told_with_the_nearest(self, own: list[tuple[str, str]]) -> None:
        registry = Registry.load()
        for kind, flavor in own:
            cls = registry.declared_class(kind, flavor)
            fields = sorted(schema(cls)["properties"])
            problems = validate(cls, {f"{fields[0] if fields else 'field'}x": 1}).problems
            assert problems, flavor
            assert not fields or fields[0] in problems[0], flavor

    def test_every_materializer_is_there(self, declared: dict[str, Any]) -> None:
        assert {each["target"]: each["problem"] for each in declared["materializers"] if each["problem"]} == {}

    def test_its_observers_take_what_runs_tell(
        self, declared: dict[str, Any], plugin: str, project: TrialProject, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Skipped where it observes nothing. What an observer raises harms no run, and is warned of in each."""
        if not declared["observed"]:
            pytest.skip("it observes nothing: it implements no hook by which it is told what happens")
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"))
        for pipeline, parameters in ((project.pipelines.retried, {"succeeds_at": 2}), (project.pipelines.broken, {}), (project.pipelines.broken, {})):
            trial.run(pipeline, **parameters)
        names = [each.name for each in installed_plugins() if each.target.partition(":")[0] == plugin]
        assert [said for said in caplog.messages if any(f"of plugin '{name}' failed" in said for name in names)] == []

    def test_every_command_is_there(self, declared: dict[str, Any]) -> None:
        assert {each["name"]: each["problem"] for each in declared["commands"] if each["problem"]} == {}


@functools.lru_cache(maxsize=16)
def _read(plugin: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "error", "-m", "dovetail.testing.declarations", plugin]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts
