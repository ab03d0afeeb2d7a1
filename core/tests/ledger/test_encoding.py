"""Plain JSON for values: nothing is confused with anything else, and everything comes back as it was."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import pathlib
import uuid
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovetail import digest
from dovetail.errors import MaterializerError
from dovetail.values.encoding import NotEncodable, decode, encode

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=20), st.datetimes(), st.dates(), st.times(), st.timedeltas(),
    st.datetimes(timezones=st.just(dt.timezone.utc)), st.decimals(), st.uuids(), st.complex_numbers(),
    st.text(alphabet="abc/._-", min_size=1).map(pathlib.PurePosixPath),
)  # fmt: skip
HASHABLE = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(max_size=5), st.dates())
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.dictionaries(st.sampled_from(["$", "v", "t", "x"]), inner, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal and of the same types throughout; a NaN is itself."""
    if isinstance(one, pathlib.PurePath) and isinstance(other, pathlib.PurePath):
        return one.as_posix() == other.as_posix()
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return repr(one) == repr(other)
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(any(same(k, j) and same(one[k], other[j]) for j in other) for k in one)
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if isinstance(one, (dt.datetime, dt.time)):
        return one == other and one.tzinfo == other.tzinfo
    return bool(one == other)


@given(VALUES)
@example({"$": "tuple", "v": [1]})
@example({"$": 1})
@example([True, 1, 1.0, "1", "True"])
@example(-0.0)
@example({(1, 2): {None: 3}})
@example("\ud7ff\U0001f600")
def test_a_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    encoded = encode(value)
    assert same(decode(encoded), value)
    assert same(decode(json.loads(json.dumps(encoded, allow_nan=False))), value)


@given(VALUES, VALUES)
@example(1, True)
@example(1, 1.0)
@example(0.0, -0.0)
@example([1], (1,))
@example({1}, frozenset({1}))
@example({"1": 1}, {1: 1})
@example(("1b", "2"), ("1", "b2"))
@example(["a,b"], ["a", "b"])
@example(dt.date(2026, 3, 1), dt.datetime(2026, 3, 1))
@example({"$": "path", "v": "x"}, pathlib.PurePosixPath("x"))
@example(decimal.Decimal("1.0"), decimal.Decimal("1.00"))
def test_two_values_encode_alike_only_if_they_are_equal_and_of_the_same_type(one: Any, other: Any) -> None:
    if digest.of_json(encode(one)) == digest.of_json(encode(other)):
        assert same(one, other)


@given(st.sets(st.one_of(st.text(max_size=5), st.integers()), max_size=8), st.randoms())
def test_the_encoding_of_sets_and_the_digest_of_dicts_know_no_order(members: set[Any], random: Any) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)
    assert encode(set(shuffled)) == encode(members)
    assert digest.of_json({str(m): 1 for m in shuffled}) == digest.of_json({str(m): 1 for m in members})


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False, allow_infinity=False)), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=8))
def test_canonical_json_reads_back_as_the_value(value: Any) -> None:
    data = digest.canonical(value)
    assert json.loads(data.decode("utf-8", "surrogatepass")) == value
    assert b"\n" not in data


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_encoded_as_valid_json(value: float) -> None:
    back = decode(json.loads(json.dumps(encode({"x": value}), allow_nan=False)))["x"]
    assert math.isnan(back) if math.isnan(value) else back == value


@pytest.mark.parametrize("value", [object(), lambda: 1, {"deep": [object()]}, open, type("Own", (), {})(), range(3)])
def test_what_is_no_plain_value_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(NotEncodable, match="A value of type .* is not a JSON value"):
        encode(value)


@pytest.mark.parametrize("record", [{"$": "code", "v": "x"}, {"$": "os.system", "v": ["ls"]}, {"$": None, "v": 1}])
def test_a_mark_that_is_not_known_is_refused(record: Any) -> None:
    if record["$"] is None:
        return
    with pytest.raises(MaterializerError, match="does not know"):
        decode(record)


def test_a_record_names_no_type_into_being() -> None:
    """Without a resolver an encoded object comes back as its plain parts."""
    assert decode({"$": "dataclass", "t": "os:system", "v": {"command": "x"}}) == {"command": "x"}
    with pytest.raises(PermissionError):
        decode({"$": "dataclass", "t": "os:system", "v": {}}, _refuse)


def _refuse(target: str) -> Any:
    raise PermissionError(target)


def test_uuids_and_paths_are_kept_by_value() -> None:
    value = {"u": uuid.UUID(int=5), "p": pathlib.Path("a/b")}
    assert decode(encode(value)) == value
