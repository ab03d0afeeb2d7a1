from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import json
import pathlib
import string
import sys
import uuid
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dovetail.errors import MaterializerError
from dovetail.materializers.structure import StructureMaterializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def same(one: Any, other: Any) -> bool:
    """Equal and of the same type at every level, nan included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple, collections.deque)):
        bounds = getattr(one, "maxlen", None) == getattr(other, "maxlen", None)
        return bounds and len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    if isinstance(one, dict):
        factories = getattr(one, "default_factory", None) is getattr(other, "default_factory", None)
        return factories and len(one) == len(other) and all(same(a, b) for a, b in zip(one.items(), other.items()))
    if isinstance(one, (set, frozenset)):
        return sorted(map(typed, one)) == sorted(map(typed, other))
    if isinstance(one, (dt.datetime, dt.time)):
        return one == other and one.fold == other.fold and same(one.tzinfo, other.tzinfo)
    return typed(one) == typed(other)


def typed(value: Any) -> str:
    """What `repr` says, which tells -0.0 from 0.0 and nan from nothing; members of sets in a fixed order."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(map(typed, value))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(typed, value))})"
    return f"{type(value).__name__}:{value!r}"


zones = st.one_of(
    st.none(),
    st.just(dt.timezone.utc),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo),
    st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)), st.sampled_from(["here", ""])),
    st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23))),
)
hashables = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(),
        st.complex_numbers(),
        st.decimals().filter(lambda number: not number.is_snan()),
        st.fractions(),
        st.uuids(),
        st.dates(),
        st.datetimes(timezones=zones),
        st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(), st.sampled_from([0, 1])),
        st.times(timezones=st.one_of(st.none(), st.just(dt.timezone.utc))),
        st.timedeltas(),
        st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
        st.builds(pathlib.PurePosixPath, st.text(string.ascii_letters + "/. ")),
        st.builds(pathlib.PureWindowsPath, st.text(string.ascii_letters + "\\. ")),
        st.just(...),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4).map(tuple), st.frozensets(inner, max_size=4)),
    max_leaves=8,
)
values = st.recursive(
    st.one_of(hashables, st.binary().map(bytearray)),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.sets(hashables),
        st.dictionaries(st.one_of(st.text(), st.just("$")), inner),
        st.dictionaries(hashables, inner),
        st.dictionaries(hashables, inner).map(collections.OrderedDict),
        st.dictionaries(hashables, inner).map(lambda d: collections.defaultdict(list, d)),
        st.dictionaries(hashables, inner).map(lambda d: collections.defaultdict(None, d)),
        st.dictionaries(hashables, st.integers()).map(collections.Counter),
        st.builds(collections.deque, st.lists(inner), st.one_of(st.none(), st.integers(0, 3))),
    ),
    max_leaves=20,
)


@quickly
@given(values)
def test_every_value_comes_back_equal_and_of_the_same_type_at_every_level(shelf: Any, value: Any) -> None:
    loaded = shelf.round_trip(value)
    assert same(loaded, value)
    shelf.clear()


@quickly
@given(values)
def test_saving_what_was_loaded_gives_the_same_bytes(shelf: Any, value: Any) -> None:
    assert shelf.content(value) == shelf.content(shelf.round_trip(value))
    shelf.clear()


@quickly
@given(st.lists(hashables, unique_by=typed))
def test_the_order_in_which_a_set_was_filled_leaves_no_trace(shelf: Any, members: list[Any]) -> None:
    assert shelf.content(set(members)) == shelf.content(set(reversed(list(set(members)))))
    shelf.clear()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text().filter(lambda key: key != "$"), inner)),
)


@quickly
@given(json_values)
def test_a_plain_json_value_is_one_file_that_any_json_reader_understands(shelf: Any, value: Any) -> None:
    folder, saved = shelf.save(value)
    assert [file.name for file in folder.iterdir()] == ["value.json"]
    assert same(json.loads((folder / "value.json").read_bytes()), value)
    assert saved.metadata == {}
    shelf.clear()


def test_unequal_values_that_python_calls_equal_give_other_bytes(shelf: Any) -> None:
    contents = [json.dumps(shelf.content(value)) for value in (1, 1.0, True, "1", [1], (1,), {1}, frozenset({1}), {"1": 1}, {1: 1}, b"1")]
    assert len(set(contents)) == len(contents)


HUGE = 10**5000


@pytest.mark.parametrize("value", [HUGE, [-HUGE, 2, {"a": HUGE}], {HUGE, "a"}, {HUGE: 1}, range(HUGE, HUGE + 3)], ids=range(5))
def test_integers_that_python_does_not_write_as_decimals_come_back(shelf: Any, value: Any) -> None:
    assert shelf.round_trip(value) == value


def test_text_that_is_not_valid_unicode_comes_back(shelf: Any) -> None:
    assert shelf.round_trip({"\ud800": ["\udfff\x00"]}) == {"\ud800": ["\udfff\x00"]}


def test_arrays_in_containers_share_one_file_and_frames_get_folders(shelf: Any) -> None:
    frame = pd.DataFrame({"a": [1.5, 2]})
    value = {"x": [np.arange(3), np.float32(1.5)], "f": (frame, {"deep": frame}), "n": np.zeros((2, 2), order="F")}
    folder, saved = shelf.save(value)
    assert sorted(file.name for file in folder.iterdir()) == ["0", "1", "arrays.npy", "value.json"]
    loaded = shelf.load(folder, saved)
    assert loaded["x"][0].tolist() == [0, 1, 2]
    assert type(loaded["x"][1]) is np.float32
    assert loaded["f"][0].equals(frame)
    assert loaded["f"][1]["deep"].equals(frame)
    assert loaded["n"].flags.f_contiguous
    assert shelf.content(value) == shelf.files(folder)
    assert saved.deterministic
    assert not saved.pickled


def test_large_bytes_in_a_container_lie_in_a_file_of_their_own(shelf: Any) -> None:
    value = [bytes(100_000), bytearray(100_000), b"small"]
    folder, saved = shelf.save(value)
    assert (folder / "value.json").stat().st_size < 200
    assert same(shelf.load(folder, saved), value)


class Word(str):
    """More than a string."""


class Count(int):
    pass


class Row(dict):
    pass


class Rows(list):
    pass


class Moment(dt.datetime):
    pass


@pytest.mark.filterwarnings("ignore::dovetail.materializers.pickles.PickleWarning")
@pytest.mark.parametrize("value", [Word("a"), Count(3), Row(a=1), Rows([1]), Moment(2024, 1, 1), {Word("k"): Rows()}, [Count(1)], {Word("a"), "b"}])
def test_a_subclass_never_becomes_its_base_class(shelf: Any, value: Any) -> None:
    folder, saved = shelf.save(value)
    loaded = shelf.load(folder, saved)
    assert same(loaded, value)
    assert saved.pickled
    assert not saved.deterministic


def test_a_factory_that_no_file_can_name_is_refused_with_its_place(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match=r"factory is .*return dict\(value\).* at value\['a'\]\[1\]"):
        shelf.save({"a": [0, collections.defaultdict(lambda: 0)]})


def test_a_value_that_cannot_be_saved_is_named_with_its_place(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match=r"generator.*`return list\(…\)`.* at value\['rows'\]\[2\]\['x'\]\."):
        shelf.save({"rows": [1, [], {"x": (n for n in ())}]})


def test_values_that_hold_themselves_or_nest_without_end_are_refused(shelf: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = {"a": None}
    for _ in range(101):
        deep = {"a": deep}
    for value in (endless, deep):
        with pytest.raises(MaterializerError, match="nested more than 100 levels"):
            shelf.save(value)
    assert shelf.round_trip(deep["a"]) == deep["a"]


def test_a_hundred_levels_load_from_deep_inside_a_call(shelf: Any) -> None:
    deep: Any = (1.5,)
    for _ in range(50):
        deep = ({1: deep},)
    folder, saved = shelf.save(deep)

    def at(depth: int) -> Any:
        return at(depth - 1) if depth else shelf.load(folder, saved)

    assert at(sys.getrecursionlimit() // 4) == deep


def test_pytz_zones_come_back_as_they_were(shelf: Any) -> None:
    pytz = pytest.importorskip("pytz")
    berlin = pytz.timezone("Europe/Berlin")
    for zone in (pytz.UTC, berlin, pytz.FixedOffset(90), berlin.localize(dt.datetime(2024, 7, 1)).tzinfo):
        assert shelf.round_trip([zone])[0] is zone


def test_fractions_slices_and_offsets_keep_their_parts(shelf: Any) -> None:
    value = [fractions.Fraction(10**5000, 3), slice(None, 3), dt.timezone(dt.timedelta(hours=1), "CET")]
    loaded = shelf.round_trip(value)
    assert loaded == value
    assert loaded[2].tzname(None) == "CET"


class Label(fractions.Fraction):
    pass


def test_a_subclass_of_a_librarys_scalar_is_refused(shelf: Any) -> None:
    for value in (Label(1, 2), np.float64.__class__("Score", (np.float64,), {})(0.5)):
        with pytest.raises(MaterializerError, match="would come back as"):
            shelf.save(value)


def test_the_type_asked_for_changes_nothing(shelf: Any) -> None:
    folder, saved = shelf.save(collections.OrderedDict(a=(1, 2)))
    loaded = shelf.materializers.load(str(folder), saved.materializer, saved.type, dict)
    assert type(loaded) is collections.OrderedDict
    assert loaded["a"] == (1, 2)
    assert saved.materializer == "dovetail.materializers.structure:StructureMaterializer"
    assert shelf.materializers.find(dict) is StructureMaterializer


def test_nothing_but_the_standard_library_is_imported_for_plain_values() -> None:
    import subprocess

    code = (
        "import sys, tempfile\n"
        "from dovetail.materializers.builtin import SPECS\n"
        "from dovetail.materializers.finder import Materializers\n"
        "folder = tempfile.mkdtemp()\n"
        "m = Materializers(SPECS)\n"
        "m.load(folder, (s := m.save({'a': [1, (2.5, None)]}, folder)).materializer, s.type)\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'pydantic', 'fsspec', 'rich', 'yaml', 'zoneinfo', 'fractions', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_uuids_decimals_and_times_keep_every_digit(shelf: Any) -> None:
    value = [uuid.UUID(int=5), decimal.Decimal("1.2300"), decimal.Decimal("sNaN123"), dt.time(1, 2, 3, 4, fold=1)]
    assert [typed(each) for each in shelf.round_trip(value)] == [typed(each) for each in value]


def test_a_zone_without_a_key_is_refused_with_the_cure(shelf: Any, tmp_path: pathlib.Path) -> None:
    source = next(path for path in pathlib.Path(__import__("tzdata").__file__).parent.rglob("Berlin"))
    with source.open("rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file)
    with pytest.raises(MaterializerError, match=r'Use zoneinfo.ZoneInfo\("Area/City"\)'):
        shelf.save([zone])


class Twin:
    """Equal only to itself."""


@pytest.mark.filterwarnings("ignore::dovetail.materializers.pickles.PickleWarning")
def test_members_of_a_set_that_look_alike_are_all_kept(shelf: Any) -> None:
    value = {Twin(), Twin(), "a", 1}
    loaded = shelf.round_trip(value)
    assert len(loaded) == 4
    assert sum(type(each) is Twin for each in loaded) == 2
