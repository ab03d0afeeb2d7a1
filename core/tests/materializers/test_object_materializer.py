from __future__ import annotations

import collections
import enum
import functools
import http
import pathlib
import subprocess
import sys
import threading
import typing
from dataclasses import InitVar, dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pydantic
import pydantic.dataclasses
import pytest
from dovetail.errors import MaterializerError
from dovetail.materializers.pickles import PickleWarning

T = TypeVar("T")
made: list[str] = []


class Color(enum.Enum):
    RED = 1
    BLUE = ("b", 2)
    ALSO_RED = 1


class Size(str, enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


class Bits(enum.IntFlag):
    A = 1
    B = 4


@pytest.mark.parametrize(
    "value", [Color.RED, Color.BLUE, Size.LARGE, Level.LOW, Access.READ, Access.READ | Access.WRITE, Access(0), Bits.A | Bits.B, Bits(8)]
)
def test_enums_come_back_as_the_same_members(shelf: Any, value: enum.Enum) -> None:
    loaded = shelf.round_trip([value, {value: value}])
    assert type(loaded[0]) is type(value)
    assert loaded == [value, {value: value}]
    assert shelf.round_trip(value) == value
    if value in list(type(value)):
        assert loaded[0] is value


class Point(NamedTuple):
    x: float
    y: Any = None


Old = collections.namedtuple("Old", "a b")


def test_named_tuples_come_back_with_their_type(shelf: Any) -> None:
    frame = pd.DataFrame({"a": [1]})
    loaded = shelf.round_trip({"p": [Point(1.5, (1, 2)), Old(1, frame)]})
    assert loaded["p"][0] == Point(1.5, (1, 2))
    assert type(loaded["p"][0]) is Point
    assert type(loaded["p"][1]) is Old
    assert loaded["p"][1].b.equals(frame)


class Tagged(Point):
    pass


def test_a_named_tuple_with_more_than_its_fields_is_refused(shelf: Any) -> None:
    value = Tagged(1)
    assert type(shelf.round_trip(value)) is Tagged
    value.more = 1
    with pytest.raises(MaterializerError, match="attributes beside its fields"):
        shelf.save(value)


@dataclass
class Plain:
    a: int
    b: Any = None


@dataclass(frozen=True)
class Frozen:
    a: tuple[int, ...]
    total: int = field(init=False, default=0)
    _hidden: str = "h"

    def __post_init__(self) -> None:
        made.append("Frozen")
        object.__setattr__(self, "total", sum(self.a))


@dataclass(frozen=True, slots=True)
class Slotted:
    a: int
    b: list[int] = field(default_factory=list)


class Base:
    __slots__ = ("__secret", "unset")

    def keep(self, secret: int) -> None:
        self.__secret = secret

    def tell(self) -> int:
        return self.__secret


@dataclass
class Derived(Base):
    a: int = 0


@dataclass
class Normalised:
    text: str
    seed: InitVar[int] = 0

    def __post_init__(self, seed: int) -> None:
        made.append("Normalised")
        self.text = self.text + "!"
        self.seen = seed

    @functools.cached_property
    def long(self) -> str:
        return self.text * 10


@dataclass
class Box(Generic[T]):
    item: T


@dataclass
class Late:
    a: int = field(init=False)


@pytest.mark.parametrize("value", [Plain(1, [2]), Frozen((1, 2)), Slotted(1, [2]), Box([Plain(1)]), Box[int](3), Plain(Level.LOW, Frozen((3,)))], ids=repr)
def test_dataclasses_come_back_equal_and_of_their_type(shelf: Any, value: Any) -> None:
    for loaded in (shelf.round_trip(value), shelf.round_trip([value])[0]):
        assert type(loaded) is type(value)
        assert loaded == value


def test_loading_runs_no_code_of_the_class_and_keeps_what_it_set(shelf: Any) -> None:
    value = Normalised("a", seed=7)
    made.clear()
    loaded = shelf.round_trip(value)
    assert made == []
    assert (loaded.text, loaded.seen) == ("a!", 7)
    assert shelf.round_trip(Frozen((1, 2))).total == 3


def test_a_cached_property_makes_no_other_value(shelf: Any) -> None:
    value = Normalised("a")
    before = shelf.content(value)
    assert value.long
    assert shelf.content(value) == before


def test_slots_with_private_names_are_kept_and_unset_fields_stay_unset(shelf: Any) -> None:
    value = Derived(5)
    value.keep(42)
    loaded = shelf.round_trip(value)
    assert loaded.tell() == 42
    assert not hasattr(loaded, "unset")
    assert not hasattr(shelf.round_trip(Late()), "a")


def test_frames_and_arrays_inside_dataclasses_come_back(shelf: Any) -> None:
    frame = pd.DataFrame({"a": [1.5, None]})
    loaded = shelf.round_trip(Plain(1, {"f": frame, "n": np.arange(3)}))
    assert loaded.b["f"].equals(frame)
    assert loaded.b["n"].tolist() == [0, 1, 2]


def test_equal_objects_give_equal_bytes(shelf: Any) -> None:
    one, other = Plain(1), Plain(1)
    one.z, one.y = 1, 2
    other.y, other.z = 2, 1
    assert shelf.content(one) == shelf.content(other)
    assert shelf.content({Frozen((1,)), Frozen((2,)), "x"}) == shelf.content({"x", Frozen((2,)), Frozen((1,))})


class Inner(pydantic.BaseModel):
    n: int


class Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")
    name: str
    inner: list[Inner] = []
    frame: pd.DataFrame | None = None
    size: Size = Size.SMALL
    where: pathlib.PurePosixPath = pathlib.PurePosixPath("a/b")
    _note: str = pydantic.PrivateAttr(default="")


class Strict(pydantic.BaseModel, frozen=True):
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        made.append("Strict")
        return n + 1


class Names(pydantic.RootModel[list[str]]):
    pass


@pydantic.dataclasses.dataclass
class Checked:
    n: int


def test_pydantic_models_come_back_with_fields_extras_and_private_attributes(shelf: Any) -> None:
    frame = pd.DataFrame({"a": [1]})
    value = Settings(name="x", inner=[Inner(n=1)], frame=frame, more=(1, 2))
    value._note = "kept"
    loaded = shelf.round_trip(value)
    assert type(loaded) is Settings
    assert loaded.frame.equals(frame)
    assert loaded.model_dump(exclude={"frame"}) == value.model_dump(exclude={"frame"})
    assert loaded.model_fields_set == value.model_fields_set
    assert (loaded._note, loaded.more, type(loaded.size)) == ("kept", (1, 2), Size)


def test_validators_do_not_change_a_loaded_model(shelf: Any) -> None:
    value = Strict(n=1)
    made.clear()
    assert shelf.round_trip(value) == value
    assert made == []
    assert shelf.round_trip(Names(["a"])) == Names(["a"])
    assert shelf.round_trip(Checked(3)) == Checked(3)


def test_a_class_that_no_payload_can_name_is_refused_with_the_cure(shelf: Any) -> None:
    @dataclass
    class Local:
        a: int

    with pytest.raises(MaterializerError, match="Define its classes and functions at module level"):
        shelf.save([Local(1)])


def test_classes_of_libraries_are_pickled_and_marked(shelf: Any) -> None:
    with pytest.warns(PickleWarning, match="http:HTTPStatus"):
        folder, saved = shelf.save({"status": http.HTTPStatus.OK})
    assert saved.pickled
    assert shelf.load(folder, saved) == {"status": http.HTTPStatus.OK}
    with pytest.raises(MaterializerError, match="trusted: true"):
        shelf.load(folder, saved, trusted=False)


@dataclass
class Listed(list):  # type: ignore[type-arg]
    a: int = 0


def test_a_dataclass_with_content_beside_its_fields_loses_nothing(shelf: Any) -> None:
    value = Listed(3)
    value.append("kept")
    with pytest.warns(PickleWarning, match="Listed"):
        loaded = shelf.round_trip(value)
    assert (list(loaded), loaded.a, type(loaded)) == (["kept"], 3, Listed)


@dataclass
class Busy:
    lock: Any


def test_a_field_that_cannot_be_saved_is_named(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match=r"A lock is tied to this process.* at value\['lock'\]"):
        shelf.save(Busy(threading.Lock()))


def test_a_class_of_a_script_is_known_under_the_scripts_module_name(tmp_path: typing.Any) -> None:
    script = tmp_path / "flights_script.py"
    script.write_text(
        "import sys\n"
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from dovetail.materializers.builtin import SPECS\n"
        "from dovetail.materializers.finder import Materializers\n"
        "from dovetail.values.imports import RecordedTypes\n"
        "from dovetail.values.project import Project\n"
        "@dataclass\n"
        "class Row:\n"
        "    a: int\n"
        "class Odd(str):\n"
        "    pass\n"
        "here = Path(__file__).parent\n"
        "m = Materializers(SPECS, RecordedTypes(Project(here, here, marked=True)))\n"
        "if __name__ == '__main__':\n"
        "    (here / 'out').mkdir()\n"
        "    saved = m.save([Row(1), Odd('x')], str(here / 'out'))\n"
        "    loaded = m.load(str(here / 'out'), saved.materializer, saved.type)\n"
        "    assert type(loaded[0]) is Row and type(loaded[1]) is Odd\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", str(script)], check=True, cwd=tmp_path)
    code = (
        "import flights_script as f\n"
        "loaded = f.m.load('out', 'dovetail.materializers.structure:StructureMaterializer', 'builtins:list')\n"
        "assert type(loaded[0]) is f.Row and type(loaded[1]) is f.Odd, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
