"""What every materializer keeps: the value that is loaded is the value that was saved, wherever its files went meanwhile."""

from __future__ import annotations

import copy
import json
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dovetail.digest import of_file
from dovetail.errors import MaterializerError
from dovetail.ledger.artifacts import seal
from dovetail.ledger.ledger import Ledger
from dovetail.local.memory_store import MemoryArtifactStore
from dovetail.materializers.finder import Materializers, Saved, full_name
from dovetail.materializers.interface import BaseMaterializer
from dovetail.registry import Registry
from dovetail.testing.contract import Contract
from dovetail.testing.equality import same
from dovetail.values.imports import RecordedTypes
from dovetail.values.project import find_project

_KINDS = {"html", "image", "markdown", "csv"}
_MOST_METADATA = 64_000  # characters of JSON
_unpickled: list[str] | None = None  # what was unpickled while somebody listened
_hooked = False


class Shelf:
    """Saves values by one materializer into folders, and loads them from where they were moved to."""

    def __init__(self, materializer: type[BaseMaterializer], values: list[Any], root: Path) -> None:
        registry = Registry.load()
        own = {_top(cls) for cls in (materializer, *map(type, values)) if not _is_installed(cls)}
        trusted = registry.plugin_modules() | own  # as if they were written in the project that runs
        self.materializers = Materializers(registry.materializer_specs(), RecordedTypes(find_project(), trusted))
        self.materializer = materializer
        self._root = root

    def save(self, value: Any) -> tuple[Path, Saved]:
        folder = self._root / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder, self.materializers.save(value, str(folder), self.materializer)

    def load(self, folder: Path, saved: Saved, *, trusted: bool = True) -> Any:
        return self.materializers.load(str(folder), saved.materializer, saved.type, trusted=trusted, format_version=saved.format)

    def round_trip(self, value: Any) -> Any:
        folder, saved = self.save(value)
        seal(str(folder))
        return self.load(folder.rename(folder.with_name("moved-" + folder.name)), saved)


class MaterializerContract(Contract):
    """Fixtures: `materializer`, the class, and `values`, a list of what it has to keep.

    Fixture `equal`: how to compare two values, where `dovetail.testing.equality.same` does not fit.
    """

    @pytest.fixture
    def equal(self) -> Callable[[Any, Any], bool]:
        return same

    @pytest.fixture
    def shelf(self, materializer: type[BaseMaterializer], values: list[Any], tmp_path: Path) -> Shelf:
        return Shelf(materializer, values, tmp_path / "shelf")

    def test_every_value_comes_back_the_same(self, shelf: Shelf, values: list[Any], equal: Callable[[Any, Any], bool]) -> None:
        for value in values:
            loaded = shelf.round_trip(value)
            assert type(loaded) is type(value)
            assert equal(loaded, value), f"saved {value!r}, loaded {loaded!r}"

    def test_a_value_that_was_loaded_can_be_saved_again(
        self, shelf: Shelf, values: list[Any], equal: Callable[[Any, Any], bool]
    ) -> None:
        for value in values:
            assert equal(shelf.round_trip(shelf.round_trip(value)), value)

    def test_saving_changes_no_value(self, shelf: Shelf, values: list[Any], equal: Callable[[Any, Any], bool]) -> None:
        for value in values:
            before = copy.deepcopy(value)
            shelf.save(value)
            assert equal(value, before)

    def test_loading_changes_no_file(self, shelf: Shelf, values: list[Any]) -> None:
        for value in values:
            folder, saved = shelf.save(value)
            before = seal(str(folder))
            shelf.load(folder, saved)
            assert {path: of_file(folder / path) for path in before} == {path: hashed for path, (_, hashed) in before.items()}
            assert _files(folder) == set(before)

    def test_equal_values_give_equal_bytes_or_it_says_that_they_may_not(self, shelf: Shelf, values: list[Any]) -> None:
        for value in values:
            folder, saved = shelf.save(value)
            if saved.deterministic:
                again, _ = shelf.save(copy.deepcopy(value))
                assert seal(str(folder)) == seal(str(again)), f"{value!r} was saved in two ways, and `deterministic` is not False"

    def test_different_values_give_different_bytes(
        self, shelf: Shelf, values: list[Any], equal: Callable[[Any, Any], bool]
    ) -> None:
        contents = [(saved.type, seal(str(folder))) for folder, saved in map(shelf.save, values)]
        for number, value in enumerate(values):
            for earlier in range(number):
                alike = equal(value, values[earlier])
                assert alike or contents[number] != contents[earlier], f"{value!r} and {values[earlier]!r} are one to it"

    def test_it_writes_plain_files_below_its_folder_and_nowhere_else(
        self, shelf: Shelf, values: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        folders = [shelf.save(value)[0] for value in values]
        assert all(seal(str(folder)) for folder in folders), "a value of which nothing is written cannot be read"
        assert set((tmp_path / "shelf").iterdir()) == set(folders)
        assert list(elsewhere.iterdir()) == []

    def test_its_values_find_it(self, shelf: Shelf, materializer: type[BaseMaterializer], values: list[Any]) -> None:
        """By a plugin's declaration, or by ASSOCIATED_TYPES once it is registered."""
        names = {each if isinstance(each, str) else full_name(each) for each in materializer.ASSOCIATED_TYPES}
        for value in values:
            named = names & {full_name(base) for base in type(value).__mro__}
            assert named or shelf.materializers.find(type(value)) is materializer, (
                f"nothing leads from {value!r} to {materializer.__name__}"
            )

    def test_metadata_is_small_json(self, shelf: Shelf, values: list[Any]) -> None:
        for value in values:
            _, saved = shelf.save(value)
            assert json.loads(json.dumps(saved.metadata)) == saved.metadata
            assert len(json.dumps(saved.metadata)) < _MOST_METADATA

    def test_visualizations_are_files_that_it_wrote(self, shelf: Shelf, values: list[Any], tmp_path: Path) -> None:
        for number, value in enumerate(values):
            folder = tmp_path / f"pictures-{number}"
            folder.mkdir()
            shown = shelf.materializers.visualizations(value, str(folder), shelf.materializer)
            assert set(shown) == _files(folder)
            assert set(shown.values()) <= _KINDS

    def test_nothing_is_unpickled_unless_it_says_so(self, shelf: Shelf, values: list[Any]) -> None:
        for value in values:
            folder, saved = shelf.save(value)
            with _listening_for_pickles() as found:
                shelf.load(folder, saved)
            assert saved.pickled or found == [], f"{found[0]} was unpickled for {value!r}, and `pickled` is False"

    def test_a_store_that_is_not_trusted_gives_what_needs_no_pickle_and_nothing_else(
        self, shelf: Shelf, values: list[Any], equal: Callable[[Any, Any], bool]
    ) -> None:
        for value in values:
            folder, saved = shelf.save(value)
            if saved.pickled:
                with pytest.raises(MaterializerError, match="trusted"):
                    shelf.load(folder, saved, trusted=False)
            else:
                assert equal(shelf.load(folder, saved, trusted=False), value)

    def test_every_value_comes_back_from_a_store_that_is_no_folder(
        self, shelf: Shelf, values: list[Any], equal: Callable[[Any, Any], bool]
    ) -> None:
        bucket = uuid.uuid4().hex
        for value in values:
            digest, _ = _ledger(bucket, shelf).artifacts.save(value, materializer=shelf.materializer)
            assert equal(_ledger(bucket, shelf).artifacts.load(digest), value)


def _top(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _is_installed(cls: type) -> bool:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    libraries = [place for name, place in sysconfig.get_paths().items() if "lib" in name]
    return file is None or any(Path(file).is_relative_to(place) for place in libraries)


def _ledger(bucket: str, shelf: Shelf) -> Ledger:
    return Ledger(MemoryArtifactStore(bucket=bucket), shelf.materializers)


def _files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


@contextmanager
def _listening_for_pickles() -> Iterator[list[str]]:
    """The classes that pickles name while the block runs."""
    global _unpickled, _hooked  # noqa: PLW0603  # the interpreter has one list of hooks
    if not _hooked:
        _hooked = True
        sys.addaudithook(_heard)
    found: list[str] = []
    _unpickled = found
    try:
        yield found
    finally:
        _unpickled = None


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _unpickled is not None:
        _unpickled.append(".".join(map(str, args)))
