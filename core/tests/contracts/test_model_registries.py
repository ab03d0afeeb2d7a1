"""A right model registry keeps the contract, and each wrong one is caught by the promise that it breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from dovetail.components import ModelRegistry, RegistryEntry
from dovetail.errors import NotFound
from dovetail.testing import ModelRegistryContract

_KEPT: dict[str, dict[tuple[str, int], RegistryEntry]] = {}


class Right(ModelRegistry):
    """Keeps versions in this process, by place."""

    place: str

    @property
    def kept(self) -> dict[tuple[str, int], RegistryEntry]:
        return _KEPT.setdefault(self.place, {})

    def register(self, entry: RegistryEntry) -> None:
        before = self.kept.get((entry.name, entry.version))
        bare = replace(entry, stage=before.stage if before else entry.stage, model=None, type="", materializer="", materializers={}, trusted=False)
        self.kept[entry.name, entry.version] = bare

    def set_stage(self, name: str, version: int, stage: str) -> None:
        if (name, version) not in self.kept:
            raise NotFound("version", f"{version} of model {name}")
        if stage in ("staging", "production"):
            for key, entry in self.kept.items():
                if key[0] == name and entry.stage == stage:
                    self.kept[key] = replace(entry, stage="archived")
        self.kept[name, version] = replace(self.kept[name, version], stage=stage)

    def versions(self, name: str) -> Sequence[RegistryEntry]:
        return sorted((entry for entry in self.kept.values() if entry.name == name), key=lambda entry: -entry.version)

    def delete(self, name: str, version: int) -> None:
        self.kept.pop((name, version), None)


class TestRight(ModelRegistryContract):
    @pytest.fixture
    def model_registry(self, tmp_path: Any) -> Right:
        return Right(place=str(tmp_path))


class Renumbering(Right):
    """Numbers versions by itself and says so."""

    caught_by: ClassVar = "test_versions_are_given_newest_first_under_their_own_numbers"

    def versions(self, name: str) -> Sequence[RegistryEntry]:
        found = super().versions(name)
        return [replace(entry, version=len(found) - number) for number, entry in enumerate(found)]


class Adding(Right):
    """Makes a version of every registration."""

    caught_by: ClassVar = "test_a_version_that_is_registered_again_is_there_once_as_last_said"

    def register(self, entry: RegistryEntry) -> None:
        super().register(entry)
        self.kept[entry.name, -len(self.kept)] = entry


class Demoting(Right):
    """Forgets the stage when it is told of a version again."""

    caught_by: ClassVar = "test_registering_again_takes_no_stage_away"

    def register(self, entry: RegistryEntry) -> None:
        self.delete(entry.name, entry.version)
        super().register(replace(entry, stage="none"))


class Sharing(Right):
    """Lets two versions be in production."""

    caught_by: ClassVar = "test_one_version_holds_a_stage_and_the_one_before_is_archived"

    def set_stage(self, name: str, version: int, stage: str) -> None:
        if (name, version) not in self.kept:
            raise NotFound("version", f"{version} of model {name}")
        self.kept[name, version] = replace(self.kept[name, version], stage=stage)


class Believing(Right):
    """Gives a stage to what nobody registered."""

    caught_by: ClassVar = "test_a_version_that_is_not_registered_gets_no_stage"

    def set_stage(self, name: str, version: int, stage: str) -> None:
        self.kept.setdefault((name, version), RegistryEntry(name, version))
        super().set_stage(name, version, stage)


class Mixing(Right):
    """Takes a name for another that begins alike."""

    caught_by: ClassVar = "test_models_do_not_mix"

    def versions(self, name: str) -> Sequence[RegistryEntry]:
        return [entry for entry in self.kept.values() if entry.name.startswith(name[:41])]


class Sweeping(Right):
    """Forgets the whole model with one version."""

    caught_by: ClassVar = "test_a_version_that_was_deleted_is_forgotten_alone"

    def delete(self, name: str, version: int) -> None:
        for key in [key for key in self.kept if key[0] == name]:
            del self.kept[key]


class Private(Right):
    """Keeps what it is told to itself."""

    caught_by: ClassVar = "test_another_instance_with_its_configuration_finds_it"

    @property
    def kept(self) -> dict[tuple[str, int], RegistryEntry]:
        return self.__dict__.setdefault("_own", {})


@pytest.mark.parametrize("wrong", [Renumbering, Adding, Demoting, Sharing, Believing, Mixing, Sweeping, Private], ids=lambda wrong: wrong.__name__)
def test_each_wrong_registry_is_caught_by_the_promise_it_breaks(wrong: Any, tmp_path: Any) -> None:
    promise = getattr(ModelRegistryContract, wrong.caught_by)
    promise(ModelRegistryContract(), Right(place=str(tmp_path / "right")), "contract-00000000000000000000000000000000")
    with pytest.raises((AssertionError, KeyError, NotFound, pytest.fail.Exception)):
        promise(ModelRegistryContract(), wrong(place=str(tmp_path / "wrong")), "contract-00000000000000000000000000000000")
