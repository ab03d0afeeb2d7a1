"""Values that one materializer saves all at once for their container: one folder for all of them, wherever in it they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import MaterializerError
from dovetail.materializers.builtin import SPECS
from dovetail.materializers.finder import Materializers, register_materializer
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.imports import RecordedTypes


class Mark:
    def __init__(self, word: str) -> None:
        self.word = word

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and other.word == self.word

    def __hash__(self) -> int:
        return hash(self.word)


@dataclass
class Holder:
    mark: Mark
    rest: list[Any]


@register_materializer
class MarkMaterializer(BaseMaterializer):
    ASSOCIATED_TYPES = (Mark,)
    together = True

    def save(self, value: Mark) -> None:
        self.save_all({"alone": value})

    def load(self, data_type: Any) -> Mark:
        return self.load_all()["alone"]

    def save_all(self, values: Mapping[str, Mark]) -> None:
        if any(mark.word == "refused" for mark in values.values()):
            raise MaterializerError("A mark that says 'refused' cannot be saved.")
        self.deterministic = all(mark.word != "uncertain" for mark in values.values())
        Path(f"{self.uri}/marks.json").write_text(json.dumps({name: mark.word for name, mark in values.items()}), encoding="utf-8")

    def load_all(self) -> Mapping[str, Mark]:
        words = json.loads(Path(f"{self.uri}/marks.json").read_text(encoding="utf-8"))
        made = {word: Mark(word) for word in set(words.values())}
        return {name: made[word] for name, word in words.items()}


@pytest.fixture
def materializers() -> Materializers:
    return Materializers(SPECS, RecordedTypes(plugins=frozenset({__name__.partition(".")[0]})))


def saved(materializers: Materializers, value: Any, folder: Path) -> Any:
    return materializers.save(value, str(folder))


def loaded(materializers: Materializers, record: Any, folder: Path) -> Any:
    return materializers.load(str(folder), record.materializer, record.type)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_all_of_a_container_share_a_folder_under_names_that_say_where_they_stand(materializers: Materializers, tmp_path: Path) -> None:
    value = {"a": Mark("1"), "deep": [Mark("2"), (Mark("3"), {"x": Mark("4")})], "held": Holder(Mark("5"), [b"\x00" * 100_000, Mark("6")]), 7: Mark("7")}
    record = saved(materializers, value, tmp_path)
    names = json.loads((tmp_path / "0" / "marks.json").read_text(encoding="utf-8"))
    assert names == {"a": "1", "deep.0": "2", "deep.1.0": "3", "deep.1.1.x": "4", "held.mark": "5", "held.rest.1": "6", "7": "7"}
    assert [name for name in files(tmp_path) if "marks" in name] == ["0/marks.json"]
    assert loaded(materializers, record, tmp_path) == value


def test_names_that_are_alike_hide_nothing(materializers: Materializers, tmp_path: Path) -> None:
    value = {"a.b": Mark("1"), "a": {"b": Mark("2")}, 1: Mark("3"), "1": Mark("4"), "": Mark("5")}
    assert loaded(materializers, saved(materializers, value, tmp_path), tmp_path) == value


def test_what_it_makes_one_is_one_in_the_container(materializers: Materializers, tmp_path: Path) -> None:
    found = loaded(materializers, saved(materializers, [Mark("same"), {"x": Mark("same")}], tmp_path), tmp_path)
    assert found[0] is found[1]["x"]


def test_members_of_a_set_are_saved_one_by_one(materializers: Materializers, tmp_path: Path) -> None:
    """They stand nowhere, so nothing could name them."""
    value = [{Mark("1"), Mark("2")}, Mark("3")]
    assert loaded(materializers, saved(materializers, value, tmp_path), tmp_path) == value


def test_a_value_that_is_no_container_is_saved_as_ever(materializers: Materializers, tmp_path: Path) -> None:
    record = saved(materializers, Mark("1"), tmp_path)
    assert (files(tmp_path), loaded(materializers, record, tmp_path)) == (["marks.json"], Mark("1"))


def test_what_it_says_of_its_bytes_holds_for_the_container(materializers: Materializers, tmp_path: Path) -> None:
    for word in ("certain", "uncertain"):
        (tmp_path / word).mkdir()
        assert saved(materializers, [Mark(word)], tmp_path / word).deterministic is (word == "certain")


def test_what_it_refuses_the_container_refuses(materializers: Materializers, tmp_path: Path) -> None:
    with pytest.raises(MaterializerError, match="'refused' cannot be saved"):
        saved(materializers, {"a": [Mark("refused")]}, tmp_path)


@pytest.mark.parametrize("node", [{"g": "0", "v": "nowhere"}, {"g": "1", "v": "0"}, {"g": "../0", "v": "0"}, {"g": "", "v": "0"}])
def test_a_payload_that_names_what_is_not_there_is_an_error(materializers: Materializers, tmp_path: Path, node: dict[str, str]) -> None:
    record = saved(materializers, [Mark("1")], tmp_path)
    (tmp_path / "value.json").write_text(json.dumps([{"$": "together", **node}]), encoding="utf-8")
    with pytest.raises(MaterializerError):
        loaded(materializers, record, tmp_path)
