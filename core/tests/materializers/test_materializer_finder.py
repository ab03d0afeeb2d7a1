from __future__ import annotations

import ast
import collections.abc
import dataclasses
import enum
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, Protocol, Union

import numpy as np
import pandas as pd
import pytest
import sklearn.base
import sklearn.linear_model
from dovetail.errors import MaterializerError
from dovetail.materializers import finder
from dovetail.materializers.builtin import SPECS
from dovetail.materializers.finder import Materializers, register_materializer
from dovetail.materializers.interface import BaseMaterializer, MaterializerSpec
from dovetail.values.encoding import type_name
from dovetail.values.imports import load_object

STRUCTURE = "dovetail.materializers.structure:StructureMaterializer"


class Animal:
    def __init__(self, name: str) -> None:
        self.name = name


class Dog(Animal):
    pass


@dataclasses.dataclass
class Tagged:
    a: int


class Shade(str, enum.Enum):
    DARK = "d"


class Pair(NamedTuple):
    a: int


class Shout(BaseMaterializer):
    ASSOCIATED_TYPES = (Animal,)
    FORMAT_VERSION = 3

    def save(self, value: Any) -> None:
        Path(self.uri, "name.txt").write_text(value.name)

    def load(self, data_type: Any) -> Any:
        return data_type(Path(self.uri, "name.txt").read_text())

    def extract_metadata(self, value: Any) -> Any:
        return {"length": len(value.name)}


class Broken(Shout):
    def extract_metadata(self, value: Any) -> Any:
        raise RuntimeError("no metadata today")

    def save_visualizations(self, value: Any) -> Any:
        raise RuntimeError("no picture today")


class Frames(BaseMaterializer):
    def save(self, value: Any) -> None:
        Path(self.uri, "mine").write_text("mine")

    def load(self, data_type: Any) -> Any:
        return Path(self.uri, "mine").read_text()


@pytest.fixture(autouse=True)
def registered_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "_registered", finder._Registered())


def test_a_registered_materializer_serves_its_types_and_their_subclasses(shelf: Any) -> None:
    assert register_materializer(Shout) is Shout
    folder, saved = shelf.save(Dog("rex"))
    assert (saved.materializer, saved.format, saved.metadata) == (type_name(Shout), 3, {"length": 3})
    assert shelf.materializers.load(str(folder), saved.materializer, saved.type, Dog).name == "rex"
    folder, saved = shelf.save({"pets": [Dog("a"), Animal("b")]})
    register_materializer(Shout, Tagged)
    assert (folder / "1" / "name.txt").read_text() == "b"


def test_a_materializer_registered_later_is_used_at_once_and_the_last_one_wins(shelf: Any) -> None:
    assert shelf.materializers.find(Tagged).__name__ == "StructureMaterializer"
    register_materializer(Shout, Tagged)
    assert shelf.materializers.find(Tagged) is Shout
    register_materializer(Frames, Tagged)
    assert shelf.materializers.find(Tagged) is Frames
    assert shelf.materializers.named(type_name(Frames)) is Frames


def test_a_registered_materializer_comes_before_the_built_in_one_also_in_containers(shelf: Any) -> None:
    register_materializer(Frames, pd.DataFrame, np.ndarray, Tagged, np.float64)
    for value in (pd.DataFrame(), np.arange(2), Tagged(1), np.float64(1)):
        assert shelf.round_trip(value) == "mine"
        assert shelf.round_trip([value]) == ["mine"]


def test_specs_count_in_their_order_and_exact_ones_not_for_subclasses() -> None:
    first = MaterializerSpec(("builtins.list",), type_name(Frames))
    assert Materializers([first, *SPECS]).declared_for(list) == type_name(Frames)
    assert Materializers([*SPECS, first]).declared_for(list) == STRUCTURE
    assert Materializers([MaterializerSpec(("builtins.int",), "x:X", exact=True)]).declared_for(bool) is None
    assert Materializers([MaterializerSpec(("builtins.int",), "x:X")]).declared_for(bool) == "x:X"


def test_enums_named_tuples_and_dataclasses_are_found_before_their_bases(shelf: Any) -> None:
    for cls in (Shade, Pair, Tagged):
        assert shelf.materializers.declared_for(cls) == STRUCTURE
    own = Materializers([MaterializerSpec(("enum",), "x:Enums"), *SPECS], shelf.materializers._resolve)
    assert own.declared_for(Shade) == "x:Enums"


def test_what_saves_an_annotated_class_is_known_without_importing_anything() -> None:
    code = (
        "import sys\n"
        "from dovetail.materializers.builtin import SPECS\n"
        "from dovetail.materializers.finder import Materializers\n"
        "Frame = type('DataFrame', (), {'__module__': 'pandas'})\n"
        "print(Materializers(SPECS).declared_for(Frame))\n"
        "print([name for name in sys.modules if name.startswith(('numpy', 'pandas', 'dovetail.materializers.pandas'))])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["dovetail.materializers.pandas_frames:FrameMaterializer", "[]"]


ANNOTATIONS = [
    (int, STRUCTURE),
    (list[int], STRUCTURE),
    (dict[str, pd.DataFrame], STRUCTURE),
    (Annotated[dict, "name"], STRUCTURE),
    (Optional[np.ndarray], "dovetail.materializers.arrays:ArrayMaterializer"),
    (pd.Series, "dovetail.materializers.pandas_frames:SeriesMaterializer"),
    (sklearn.linear_model.LogisticRegression, "dovetail.materializers.estimators:EstimatorMaterializer"),
    (sklearn.base.ClassifierMixin, None),
    (Union[int, str], None),
    (int | str, None),
    (int | None, STRUCTURE),
    (Literal["a"], None),
    (Any, None),
    (object, None),
    (None, None),
    ("int", None),
    (collections.abc.Sequence, None),
    (Protocol, None),
    (Animal, None),
]


@pytest.mark.parametrize(("annotation", "expected"), ANNOTATIONS, ids=[str(a) for a, _ in ANNOTATIONS])
def test_annotations_are_matched_by_their_class(shelf: Any, annotation: Any, expected: str | None) -> None:
    assert shelf.materializers.declared_for(annotation) == expected


def test_what_cannot_be_an_artifact_is_known_by_its_annotation(shelf: Any) -> None:
    refused = shelf.materializers.refused
    assert "return list(…)" in refused(collections.abc.Generator[int, None, None])
    assert "return list(…)" in refused(collections.abc.Iterator[int])
    assert refused(Annotated[list[int], "x"]) is None
    assert refused(Any) is None
    register_materializer(Frames, type(iter([])))
    assert refused(type(iter([]))) is None


def test_every_built_in_target_can_be_imported_and_is_recorded_under_the_same_name() -> None:
    for spec in SPECS:
        cls = load_object(spec.target)
        assert issubclass(cls, BaseMaterializer)
        assert type_name(cls) == spec.target


def test_declaring_imports_no_library() -> None:
    import dovetail.materializers.builtin as builtin

    tree = ast.parse(Path(builtin.__file__).read_text())
    found = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(found) <= {"__future__", "dovetail.materializers.codecs", "dovetail.materializers.interface"}


def test_where_nothing_fits_the_error_says_what_to_write() -> None:
    with pytest.raises(MaterializerError, match=r"ASSOCIATED_TYPES = \(Animal,\)"):
        Materializers([]).find(Animal)


def test_a_failing_description_loses_no_value(shelf: Any, tmp_path: Path) -> None:
    register_materializer(Broken)
    with pytest.warns(UserWarning, match="extract_metadata failed.*no metadata today"):
        folder, saved = shelf.save(Dog("rex"))
    assert saved.metadata == {}
    assert shelf.materializers.load(str(folder), saved.materializer, saved.type, Dog).name == "rex"
    with pytest.warns(UserWarning, match="no picture today"):
        assert shelf.materializers.visualizations(Dog("rex"), str(tmp_path)) == {}


def test_a_newer_format_is_refused_with_the_cure(shelf: Any) -> None:
    folder, saved = shelf.save([1])
    with pytest.raises(MaterializerError, match="in its format 2.*Upgrade"):
        shelf.materializers.load(str(folder), saved.materializer, saved.type, format_version=2)


def test_a_value_that_lies_about_its_class_is_saved_as_what_it_is(shelf: Any) -> None:
    class Proxy:
        __class__ = dict  # type: ignore[assignment]

    with pytest.raises(MaterializerError, match="Proxy"):
        shelf.save(Proxy())


def test_a_missing_library_is_named_with_what_to_install(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MaterializerError, match="Pandas data is saved and loaded by pyarrow.*pip install pyarrow"):
        shelf.save(pd.DataFrame({"a": [1]}))
