from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from dovetail.errors import MaterializerError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

ARRAYS = {
    "ints": np.arange(6).reshape(2, 3),
    "zero dimensions": np.array(1.5),
    "empty": np.zeros((0, 3), "f4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20)[::3],
    "backwards": np.arange(5)[::-1],
    "big-endian": np.arange(5, dtype=">i4"),
    "bools": np.array([True, False]),
    "halves": np.array([1, 2], "f2"),
    "long doubles": np.array([1, 2], "g"),
    "complex": np.array([1 + 2j]),
    "text": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "moments": np.array(["2024-01-01", "NaT"], "M8[ns]"),
    "days": np.array(["2024-01-01"], "M8[D]"),
    "durations": np.array([1, 2], "m8[ms]"),
    "records": np.array([(1, 2.5, "a")], dtype=[("x", "i4"), ("y", "f8", (1,)), ("z", "U3")]),
    "aligned": np.array([(1, 2.5)], dtype=np.dtype([("x", "i1"), ("y", "f8")], align=True)),
    "fields in any script": np.array([(1, 2)], dtype=[("Ā", "i4"), ("b" * 70_000, "i4")]),
    "void": np.array([b"ab"], "V2"),
    "objects": np.array([1, "a", None, [1, 2], {"a": (1,)}], dtype=object),
    "object matrix": np.array([[1, "a"], [None, 2.5]], dtype=object, order="F"),
    "no objects": np.array([], dtype=object),
    "one object": np.array({"a": 1}, dtype=object),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal_with_type_shape_and_order(shelf: Any, name: str) -> None:
    value = ARRAYS[name]
    for loaded in (shelf.round_trip(value, trusted=False), shelf.round_trip([value], trusted=False)[0]):
        assert loaded.dtype == value.dtype
        assert loaded.shape == value.shape
        assert loaded.tolist() == value.tolist() or repr(loaded.tolist()) == repr(value.tolist())
        assert loaded.flags.f_contiguous == (value.flags.f_contiguous or not value.flags.c_contiguous and value.ndim == 1)
        assert loaded.flags.writeable


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hnp.arrays(st.one_of(hnp.scalar_dtypes(), hnp.array_dtypes()), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
def test_arrays_of_any_type_come_back_with_the_same_bytes(shelf: Any, value: Any) -> None:
    loaded = shelf.round_trip(value)
    assert loaded.dtype == value.dtype
    assert loaded.shape == value.shape
    assert loaded.tobytes() == value.tobytes() or repr(loaded) == repr(value)
    assert shelf.content(loaded) == shelf.content(value)
    shelf.clear()


@pytest.mark.skipif(not hasattr(np.dtypes if hasattr(np, "dtypes") else np, "StringDType"), reason="since numpy 2")
def test_variable_width_strings_come_back(shelf: Any) -> None:
    for dtype in (np.dtypes.StringDType(), np.dtypes.StringDType(na_object=float("nan")), np.dtypes.StringDType(na_object=None, coerce=False)):
        value = np.array(["a", "long" * 10], dtype=dtype)
        loaded = shelf.round_trip(value)
        assert str(loaded.dtype) == str(value.dtype)
        assert loaded.tolist() == value.tolist()


def test_padding_between_fields_leaves_no_trace(shelf: Any) -> None:
    dtype = np.dtype([("x", "i1"), ("y", "f8")], align=True)
    arrays = [np.frombuffer(bytes([filler]) * 32, "u1").copy().view(dtype) for filler in (0, 255)]
    for array in arrays:
        array["x"], array["y"] = 1, 2.5
    assert shelf.content(arrays[0]) == shelf.content(arrays[1])
    assert shelf.content(arrays[0][0]) == shelf.content(arrays[1][0])


def test_an_array_with_object_fields_is_refused_with_the_cure(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match="fields that hold Python objects. Return a frame"):
        shelf.save(np.array([(1, "a")], dtype=[("x", "i4"), ("y", "O")]))


SCALARS = [
    *(cls(1) for cls in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64, np.longlong, np.ulonglong, np.intc)),
    *(cls(1.1) for cls in (np.float16, np.float32, np.float64, np.longdouble)),
    *(cls("nan") for cls in (np.float16, np.float32, np.float64, np.longdouble)),
    *(cls(1.5 + 2j) for cls in (np.complex64, np.complex128, np.clongdouble)),
    np.longdouble("0.1"),
    np.bool_(True),
    np.str_("ä"),
    np.bytes_(b"a"),
    np.datetime64("2024-01-01T00:00:00.123", "ms"),
    np.datetime64("NaT", "s"),
    np.timedelta64(5, "h"),
    np.void(b"abc"),
    np.array([(1, 2.5)], dtype=[("x", "i4"), ("y", ">f8")])[0],
]


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: f"{type(value).__name__} {value}")
def test_numpy_scalars_come_back_as_the_same_numpy_type(shelf: Any, value: Any) -> None:
    for loaded in (shelf.round_trip(value), shelf.round_trip({"x": (value,)})["x"][0]):
        assert type(loaded) is type(value)
        assert loaded.dtype == value.dtype
        assert repr(loaded) == repr(value)


def test_numpy_scalars_of_metrics_can_be_read_by_a_person(shelf: Any) -> None:
    folder, _ = shelf.save({"accuracy": np.float64(0.93)})
    assert (folder / "value.json").read_text() == '{"accuracy":{"$":"numpy","v":["float64",0.93]}}'


@pytest.mark.filterwarnings("ignore::dovetail.materializers.pickles.PickleWarning", "ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("value", [np.ma.array([1, 2], mask=[0, 1]), np.matrix([[1, 2]]), np.rec.array([(1, 2)])], ids=lambda v: type(v).__name__)
def test_a_subclass_of_an_array_never_becomes_a_plain_array(shelf: Any, value: Any) -> None:
    loaded = shelf.round_trip(value)
    assert type(loaded) is type(value)
    assert loaded.tolist() == value.tolist()


def test_metadata_of_an_array_says_shape_type_and_size(shelf: Any) -> None:
    assert shelf.save(np.zeros((2, 3), "f4"))[1].metadata == {"shape": [2, 3], "dtype": "float32", "bytes": 24}


DENSE = np.array([[0, 1.5, 0], [2, 0, 0]])


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"])
def test_sparse_matrices_come_back_in_their_format(shelf: Any, form: str, kind: str) -> None:
    value = getattr(sp, f"{form}_{kind}")(DENSE.astype("f4"))
    folder, saved = shelf.save(value)
    loaded = shelf.load(folder, saved, trusted=False)
    assert type(loaded) is type(value)
    assert loaded.dtype == value.dtype
    assert loaded.shape == value.shape
    assert (loaded.toarray() == value.toarray()).all()
    assert shelf.content(loaded) == shelf.files(folder)
    assert saved.metadata["shape"] == [2, 3]
    empty = getattr(sp, f"{form}_{kind}")((4, 5), dtype="i1")
    assert shelf.round_trip(empty).shape == (4, 5)


@pytest.mark.parametrize("form", ["coo", "csr", "dok"])
def test_sparse_arrays_of_one_dimension_come_back(shelf: Any, form: str) -> None:
    try:
        value = getattr(sp, f"{form}_array")(np.array([0, 1, 0, 2]))
    except (TypeError, ValueError):
        pytest.skip("this scipy has none")
    if value.ndim != 1:
        pytest.skip("this scipy has none")
    loaded = shelf.round_trip(value)
    assert type(loaded) is type(value)
    assert loaded.toarray().tolist() == [0, 1, 0, 2]


class Matrix(sp.csr_matrix):
    pass


def test_a_subclass_of_a_sparse_matrix_is_refused(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match="would come back as scipy's own csr matrix"):
        shelf.save(Matrix(DENSE))


TABLE = pa.table(
    {
        "i": pa.array([1, None, 3], pa.int16()),
        "s": ["a", None, "ü"],
        "b": [True, None, False],
        "l": [[1, None], None, []],
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "t": pa.array([0, 1, None], pa.timestamp("us", "Europe/Berlin")),
        "st": [{"p": 1, "q": "a"}, None, {"p": 2, "q": None}],
        "n": pa.nulls(3),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "dec": pa.array([None, 1, 2], pa.decimal128(10, 2)),
    }
).replace_schema_metadata({"owner": "me"})


def test_tables_come_back_with_types_and_schema_metadata(shelf: Any) -> None:
    for table in (TABLE, TABLE.slice(1, 1), TABLE.slice(3), pa.concat_tables([TABLE, TABLE]), pa.table({})):
        folder, saved = shelf.save(table)
        loaded = shelf.load(folder, saved, trusted=False)
        assert loaded.equals(table, check_metadata=True)
    assert shelf.round_trip(TABLE.select([])).num_rows in (0, 3)


def test_record_batches_and_arrays_come_back_as_what_they_were(shelf: Any) -> None:
    batch = TABLE.to_batches()[0]
    for each in (batch, batch.slice(1), batch.slice(3)):
        loaded = shelf.round_trip(each)
        assert type(loaded) is type(each)
        assert loaded.equals(each)
    for column in (*TABLE.columns, pa.chunked_array([[1], [2, None]])):
        assert shelf.round_trip(column).equals(column)
        array = column.combine_chunks() if isinstance(column.combine_chunks(), pa.Array) else column.combine_chunks().chunk(0)
        for each in (array, array.slice(1), array[:0]):
            loaded = shelf.round_trip(each)
            assert type(loaded) is type(each)
            assert loaded.equals(each)


@pytest.mark.parametrize("name", [name for name in TABLE.column_names if name not in ("st", "m")])
def test_equal_tables_give_equal_bytes_however_they_lie_in_memory(shelf: Any, name: str) -> None:
    table = TABLE.select([name])
    longer = pa.concat_tables([table, table, table])
    pieces = pa.concat_tables([longer.slice(3, 1), longer.slice(4, 2)])
    assert pieces.equals(table)
    assert shelf.content(table) == shelf.content(pieces)
    assert shelf.save(table)[1].deterministic


def test_types_whose_bytes_are_not_certain_say_so(shelf: Any) -> None:
    assert not shelf.save(TABLE.select(["st"]))[1].deterministic
    assert not shelf.save(pd.Series(pd.array([{"a": 1}], dtype=pd.ArrowDtype(pa.struct([("a", pa.int64())])))))[1].deterministic


def test_metadata_of_a_table_says_rows_columns_and_types(shelf: Any) -> None:
    metadata = shelf.save(TABLE)[1].metadata
    assert (metadata["rows"], metadata["column_count"], metadata["columns"][:2]) == (3, 10, ["i", "s"])
    assert metadata["dtypes"][0] == "int16"


class RankType(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.int64(), "dovetail.rank")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: Any, serialized: bytes) -> RankType:
        return cls()


def test_an_extension_type_that_is_not_registered_here_is_asked_for(shelf: Any) -> None:
    value = pa.ExtensionArray.from_storage(RankType(), pa.array([1, 2]))
    pa.register_extension_type(RankType())
    try:
        folder, saved = shelf.save(pa.table({"rank": value}))
        assert shelf.load(folder, saved).column("rank").type == RankType()
    finally:
        pa.unregister_extension_type("dovetail.rank")
    with pytest.raises(MaterializerError, match="Column 'rank' is of the Arrow extension type 'dovetail.rank'. Call pyarrow.register"):
        shelf.load(folder, saved)


def test_what_arrow_or_npy_cannot_write_is_refused_with_the_cure(shelf: Any) -> None:
    overlapping = np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 2], "itemsize": 8})
    with pytest.raises(MaterializerError, match="cannot be written as npy"):
        shelf.save(np.zeros(2, overlapping))
    with pytest.raises(MaterializerError, match="holds Python objects. Return a tuple"):
        shelf.save([np.array([(1, "a")], dtype=[("x", "i4"), ("y", "O")])[0]])
