"""What every model registry keeps: each version is found under Dovetail's number, with its stage and where it came from."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dovetail import Model
from dovetail.components import ModelRegistry, RegistryEntry
from dovetail.errors import NotFound
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.contract import Contract
from dovetail.testing.given import alike
from dovetail.testing.trial import TrialProject


class ModelRegistryContract(Contract):
    """Fixture `model_registry`: the one to try; it may hold models of others."""

    @pytest.fixture
    def name(self) -> str:
        """The name of a model of the test's own."""
        return f"contract-{uuid.uuid4().hex}"

    def test_what_is_said_of_a_version_is_given_back(self, model_registry: ModelRegistry, name: str) -> None:
        entry = RegistryEntry(
            name, 1, "none", "20260101-000000-0123456789", "tunnel run", "größe", "Knows flour.\nAnd water.", ("bread", "größe"),
            {"accuracy": 0.5, "layers": [64, 32], "note": "größe", "sure": True},
        )  # fmt: skip
        model_registry.register(entry)
        [found] = model_registry.versions(name)
        assert replace(found, url=None) == entry

    def test_versions_are_given_newest_first_under_their_own_numbers(self, model_registry: ModelRegistry, name: str) -> None:
        for version in (2, 5, 3):
            model_registry.register(RegistryEntry(name, version, run_id=f"run {version}"))
        assert [(each.version, each.run_id) for each in model_registry.versions(name)] == [(5, "run 5"), (3, "run 3"), (2, "run 2")]

    def test_a_version_that_is_registered_again_is_there_once_as_last_said(self, model_registry: ModelRegistry, name: str) -> None:
        model_registry.register(RegistryEntry(name, 1, run_id="a run", description="first", tags=("old",), metadata={"a": 1, "b": 1}))
        again = RegistryEntry(name, 1, run_id="a run", description="second", tags=("new",), metadata={"b": 2})
        model_registry.register(again)
        assert [replace(each, url=None) for each in model_registry.versions(name)] == [again]

    def test_registering_again_takes_no_stage_away(self, model_registry: ModelRegistry, name: str) -> None:
        model_registry.register(RegistryEntry(name, 1))
        model_registry.set_stage(name, 1, "production")
        model_registry.register(RegistryEntry(name, 1, "production", description="more"))
        assert _stages(model_registry, name) == {1: "production"}

    def test_one_version_holds_a_stage_and_the_one_before_is_archived(self, model_registry: ModelRegistry, name: str) -> None:
        for version in (1, 2, 3):
            model_registry.register(RegistryEntry(name, version))
        for stage in ("staging", "production"):
            model_registry.set_stage(name, 1, stage)
        assert _stages(model_registry, name) == {1: "production", 2: "none", 3: "none"}
        model_registry.set_stage(name, 2, "production")
        model_registry.set_stage(name, 3, "staging")
        assert _stages(model_registry, name) == {1: "archived", 2: "production", 3: "staging"}

    def test_a_stage_that_is_given_again_changes_nothing(self, model_registry: ModelRegistry, name: str) -> None:
        for version in (1, 2):
            model_registry.register(RegistryEntry(name, version))
            model_registry.set_stage(name, version, "production")
        model_registry.set_stage(name, 2, "production")
        assert _stages(model_registry, name) == {1: "archived", 2: "production"}

    def test_a_stage_can_be_taken_away(self, model_registry: ModelRegistry, name: str) -> None:
        for version, stage in ((1, "archived"), (2, "none")):
            model_registry.register(RegistryEntry(name, version))
            model_registry.set_stage(name, version, "production")
            model_registry.set_stage(name, version, stage)
        assert _stages(model_registry, name) == {1: "archived", 2: "none"}

    def test_a_version_that_is_not_registered_gets_no_stage(self, model_registry: ModelRegistry, name: str) -> None:
        with pytest.raises(NotFound, match=name):
            model_registry.set_stage(name, 1, "production")
        model_registry.register(RegistryEntry(name, 1))
        with pytest.raises(NotFound, match="2"):
            model_registry.set_stage(name, 2, "production")
        assert _stages(model_registry, name) == {1: "none"}

    def test_of_a_model_that_it_does_not_know_there_is_no_version(self, model_registry: ModelRegistry, name: str) -> None:
        assert list(model_registry.versions(name)) == []

    def test_models_do_not_mix(self, model_registry: ModelRegistry, name: str) -> None:
        names = [name, f"{name}-2", f"{name} größe", f"{name}.v_1+x"]
        for number, each in enumerate(names):
            model_registry.register(RegistryEntry(each, 1, run_id=f"run {number}"))
        model_registry.set_stage(names[1], 1, "production")
        assert [[(found.run_id, found.stage) for found in model_registry.versions(each)] for each in names] == [
            [("run 0", "none")], [("run 1", "production")], [("run 2", "none")], [("run 3", "none")]
        ]  # fmt: skip

    def test_a_version_that_was_deleted_is_forgotten_alone(self, model_registry: ModelRegistry, name: str) -> None:
        for version in (1, 2):
            model_registry.register(RegistryEntry(name, version))
        model_registry.set_stage(name, 1, "production")
        model_registry.delete(name, 1)
        assert _stages(model_registry, name) == {2: "none"}
        for gone in (1, 7):
            model_registry.delete(name, gone)  # it is not known, which is no error
        model_registry.delete(f"{name}-unknown", 1)
        model_registry.set_stage(name, 2, "production")
        assert _stages(model_registry, name) == {2: "production"}

    def test_another_instance_with_its_configuration_finds_it(self, model_registry: ModelRegistry, name: str) -> None:
        model_registry.register(RegistryEntry(name, 1))
        other = alike(model_registry)
        other.set_stage(name, 1, "staging")
        assert _stages(model_registry, name) == {1: "staging"}

    def test_versions_that_are_registered_at_once_are_all_kept(self, model_registry: ModelRegistry, name: str) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda version: alike(model_registry).register(RegistryEntry(name, version)), range(1, 9)))
        assert [each.version for each in model_registry.versions(name)] == [8, 7, 6, 5, 4, 3, 2, 1]

    def test_what_is_given_back_leads_a_person_there_or_nowhere(self, model_registry: ModelRegistry, name: str) -> None:
        model_registry.register(RegistryEntry(name, 1))
        url = model_registry.versions(name)[0].url
        assert url is None or url.partition("://")[0] in ("http", "https", "file"), url

    def test_it_knows_the_model_versions_that_runs_claim(
        self, model_registry: ModelRegistry, name: str, project: TrialProject, tmp_path: Path
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), model_registry)
        claiming = project.pipelines.single.with_options(model=Model(name, description="Scales.", tags=("contract",)))
        first, second = trial.run(claiming, value=1), trial.run(claiming, value=2)
        told = [(each.version, each.run_id, each.run_name, each.pipeline, each.description, tuple(each.tags)) for each in model_registry.versions(name)]
        of_each = ("single", "Scales.", ("contract",))
        assert told == [(2, second.id, second.name, *of_each), (1, first.id, first.name, *of_each)]

    def test_it_is_told_of_a_promotion(self, model_registry: ModelRegistry, name: str, project: TrialProject, tmp_path: Path) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), model_registry)
        claiming = project.pipelines.single.with_options(model=Model(name))
        for value in (1, 2):
            trial.run(claiming, value=value)
            trial.client.get_model_version(name, value).promote("production")
        assert _stages(model_registry, name) == {1: "archived", 2: "production"}

    def test_a_run_that_fails_registers_nothing(self, model_registry: ModelRegistry, name: str, project: TrialProject, tmp_path: Path) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), model_registry)
        assert trial.run(project.pipelines.broken.with_options(model=Model(name))).status == "failed"
        assert list(model_registry.versions(name)) == []

    def test_its_own_check_finds_nothing_wrong(self, model_registry: ModelRegistry) -> None:
        assert model_registry.check() == []


def _stages(registry: ModelRegistry, name: str) -> dict[int, str]:
    return {each.version: each.stage for each in reversed(registry.versions(name))}
