"""Payload is untrusted: whatever lies in a folder, loading gives a value or MaterializerError, runs nothing and writes nothing."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from dovetail.errors import MaterializerError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

STRUCTURE = "dovetail.materializers.structure:StructureMaterializer"
ran: list[str] = []


@dataclass
class Known:
    a: int


class Bomb:
    def __reduce__(self) -> Any:
        return ran.append, ("ran",)


def load(shelf: Any, folder: Path, materializer: str = STRUCTURE, type_: str = "builtins:dict", trusted: bool = False) -> Any:
    before = shelf.files(folder)
    try:
        return shelf.materializers.load(str(folder), materializer, type_, trusted=trusted)
    finally:
        assert shelf.files(folder) == before
        assert ran == []


def holding(shelf: Any, **files: bytes | str) -> Path:
    shelf.count += 1
    folder = shelf.root / str(shelf.count)
    folder.mkdir()
    for name, content in files.items():
        (folder / f"{name}.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


KNOWN = f"{Known.__module__}:Known"
NODES = {
    "unknown mark": {"$": "no such"},
    "mark that is no string": {"$": ["tuple"]},
    "mark without a value": {"$": "tuple"},
    "tuple of nothing": {"$": "tuple", "v": None},
    "nested above": {"$": "nested", "v": "../1"},
    "nested absolute": {"$": "nested", "v": "/etc"},
    "nested number": {"$": "nested", "v": 0},
    "nested absent": {"$": "nested", "v": "0"},
    "array elsewhere": {"$": "array", "v": "../../x"},
    "array absent": {"$": "array", "v": 0},
    "array before the start": {"$": "array", "v": -5},
    "int that is none": {"$": "int", "v": "0xzz"},
    "bytes that are none": {"$": "bytes", "v": "!"},
    "date that is none": {"$": "date", "v": "2024-13-01"},
    "datetime with a list": {"$": "datetime", "v": [1, 2, 3]},
    "zone above": {"$": "zone", "v": ["zoneinfo", "../../../etc/passwd"]},
    "zone of no kind": {"$": "zone", "v": ["pytz", {}]},
    "factory": {"$": "defaultdict", "f": "eval", "v": []},
    "factory of a module": {"$": "defaultdict", "f": "os.system", "v": []},
    "unhashable key": {"$": "dict", "v": [[[], 1]]},
    "unhashable member": {"$": "set", "v": [{}]},
    "deque of a negative length": {"$": "deque", "n": -1, "v": []},
    "endless range": {"$": "range", "v": [0, 1, 0]},
    "type of the library": {"$": "dataclass", "t": "subprocess:Popen", "v": {"args": ["true"]}},
    "type of no module": {"$": "dataclass", "t": "no.such.module:X", "v": {}},
    "type that is no name": {"$": "dataclass", "t": 3, "v": {}},
    "type that is empty": {"$": "dataclass", "t": "", "v": {}},
    "type that is a function": {"$": "dataclass", "t": f"{Known.__module__}:load", "v": {}},
    "type that is no enum": {"$": "enum", "t": KNOWN, "v": "a"},
    "type that is no model": {"$": "pydantic", "t": KNOWN, "v": {"a": 1}, "s": []},
    "type that is no tuple": {"$": "namedtuple", "t": KNOWN, "v": [1]},
    "kind that is none": {"$": "class", "t": KNOWN, "v": {"a": 1}},
    "class of an object": {"$": "dataclass", "t": KNOWN, "v": {"__class__": 1}},
    "dict of an object": {"$": "dataclass", "t": KNOWN, "v": {"__dict__": {}}},
    "attribute that is no name": {"$": "dataclass", "t": KNOWN, "v": {"a b": 1}},
    "numpy function": {"$": "numpy", "v": ["fromfile", "/etc/passwd"]},
    "numpy object": {"$": "numpy", "v": ["object_", 1]},
    "numpy void of objects": {"$": "numpy", "v": ["void", "|O", "AAAAAAAAAAA="]},
    "pandas of no kind": {"$": "pandas", "v": ["eval", "1"]},
    "pandas nothing": {"$": "pandas", "v": []},
    "fraction by zero": {"$": "fraction", "v": [1, 0]},
    "path of no kind": {"$": "purepath", "v": ["other", "a"]},
}


@pytest.mark.parametrize("name", NODES)
def test_a_value_that_nobody_wrote_is_refused(shelf: Any, name: str) -> None:
    for node in (NODES[name], [1, {"a": NODES[name]}]):
        with pytest.raises(MaterializerError):
            load(shelf, holding(shelf, value=json.dumps(node)))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"$":' * 100_000, b'{"$":"tuple","v":[' * 5000 + b"]}" * 5000, b"1" * 5000, b"nul"])
def test_json_that_is_none_or_bottomless_is_refused(shelf: Any, text: bytes) -> None:
    with pytest.raises(MaterializerError):
        load(shelf, holding(shelf, value=text))


def test_a_payload_without_its_file_is_refused(shelf: Any) -> None:
    for materializer in ("structure:StructureMaterializer", "blobs:BytesMaterializer", "paths:PathMaterializer", "arrays:ArrayMaterializer"):
        with pytest.raises(MaterializerError, match="store verify"):
            load(shelf, holding(shelf), f"dovetail.materializers.{materializer}")


NOTES = [
    "",
    "[]",
    "{}",
    '{"type": 1, "materializer": 2, "format": 3}',
    '{"type": "a:b", "materializer": "subprocess:Popen", "format": 1}',
    '{"type": "a:b", "materializer": "os:system", "format": 1}',
    '{"type": "a:b", "materializer": "", "format": 1}',
    f'{{"type": "a:b", "materializer": "{KNOWN}", "format": 1}}',
    f'{{"type": "a:b", "materializer": "{STRUCTURE}", "format": "1"}}',
    f'{{"type": "a:b", "materializer": "{STRUCTURE}", "format": 99}}',
    f'{{"type": "a:b", "materializer": "{STRUCTURE}"}}',
]


@pytest.mark.parametrize("note", NOTES)
def test_a_note_that_nobody_wrote_is_refused(shelf: Any, note: str) -> None:
    folder = holding(shelf, value='[{"$":"nested","v":"0"}]')
    (folder / "0").mkdir()
    (folder / "0" / "nested.json").write_text(note)
    (folder / "0" / "value.json").write_text("1")
    with pytest.raises(MaterializerError):
        load(shelf, folder)


def test_a_pickle_hidden_in_a_safe_payload_is_not_loaded(shelf: Any) -> None:
    folder = holding(shelf, value='[{"$":"nested","v":"0"}]')
    (folder / "0").mkdir()
    note = {"type": "a:b", "materializer": "dovetail.materializers.pickles:PickleMaterializer", "format": 1}
    (folder / "0" / "nested.json").write_text(json.dumps(note))
    (folder / "0" / "value.pkl").write_bytes(pickle.dumps(Bomb()))
    (folder / "0" / "surroundings.json").write_text('{"python":"3","main":"m","versions":{}}')
    with pytest.raises(MaterializerError, match="trusted: true"):
        load(shelf, folder)


def test_pickles_inside_arrays_are_not_loaded(shelf: Any) -> None:
    folder = holding(shelf)
    np.save(folder / "array.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(MaterializerError, match="allow_pickle"):
        load(shelf, folder, "dovetail.materializers.arrays:ArrayMaterializer")
    (folder / "array.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(MaterializerError):
        load(shelf, folder, "dovetail.materializers.arrays:ArrayMaterializer")


@pytest.mark.parametrize("shape", [(10**15,), (2**62, 4), (10**9, 10**9)])
def test_an_array_that_claims_more_than_its_file_holds_is_refused(shelf: Any, shape: Any) -> None:
    folder = holding(shelf)
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    (folder / "array.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(MaterializerError):
        load(shelf, folder, "dovetail.materializers.arrays:ArrayMaterializer")


FRAME = pd.DataFrame({"i": [1, 2], "s": pd.Series(["a", "b"], dtype="string[pyarrow]"), "c": pd.Categorical(["x", "y"]), "o": [{"a": 1}, None]})
SAVED: dict[str, Any] = {
    "frame": FRAME,
    "series": pd.Series([1.5], name="x"),
    "index": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]),
    "structure": {"a": (1, Known(3), np.float32(2), pd.Timestamp(0), np.arange(3)), 1: {2, 3}},
    "array": np.arange(3),
    "table": pa.table({"a": ["x", "y"], "l": [[1], None]}),
    "polars": pl.DataFrame({"a": [1, None], "s": ["x", "y"]}),
    "sparse": sp.csr_matrix(np.eye(3)),
    "coordinates": sp.coo_matrix(np.eye(3)),
    "blocks": sp.bsr_matrix(np.eye(4), blocksize=(2, 2)),
    "diagonals": sp.dia_array(np.eye(3)),
    "image": Image.new("P", (3, 2)),
    "png": Image.new("RGB", (3, 2)),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("name", SAVED)
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_a_value_or_an_error_and_never_a_crash(shelf: Any, name: str, data: st.DataObject) -> None:
    folder, saved = shelf.save(SAVED[name])
    file = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(1, 8))] = data.draw(st.binary(max_size=8)) or b"\xff" * 4
        if not content:
            break
    file.write_bytes(content)
    try:
        loaded = load(shelf, folder, saved.materializer, saved.type)
    except MaterializerError:
        pass
    else:
        str(loaded)
    shelf.clear()


FRAME_LIES: dict[str, Any] = {
    "rows elsewhere": lambda d: d["data"][0].update(at=["../1", 0]),
    "negative rows": lambda d: d["data"][0].update(at=[-1, 0]),
    "rows of no file": lambda d: d["data"][0].update(at=[77, 0]),
    "column of no file": lambda d: d["data"][0].update(at=[2, 77]),
    "objects from bytes": lambda d: d["data"][0].update(dtype="|O"),
    "another width": lambda d: d["data"][0].update(dtype="<i2"),
    "wide text": lambda d: d["data"][0].update(dtype="<U9"),
    "text as numbers": lambda d: d["data"][1].update(kind="numpy", dtype="<i8"),
    "numbers as text": lambda d: d["data"][0].update(kind="text", missing="None"),
    "unknown kind": lambda d: d["data"][0].update(kind="eval"),
    "kind that is no string": lambda d: d["data"][0].update(kind=[]),
    "unknown nullable": lambda d: d["data"][0].update(kind="masked", dtype="object"),
    "codes out of range": lambda d: d["data"][2].update(categories={"kind": "labels", "dtype": "object", "v": [], "name": None}),
    "index of another length": lambda d: d["index"].update(v=[0, 5, 1]),
    "labels of another number": lambda d: d["columns"].update(v=["a"]),
    "no data": lambda d: d.pop("data"),
    "data that is none": lambda d: d.update(data=3),
    "type of labels": lambda d: d["columns"].update(dtype="datetime64[ns]"),
    "endless nesting of categories": lambda d: d["data"][2].update(categories={"kind": "index", "of": {"kind": "objects", "v": [[]]}, "name": []}),
}


@pytest.mark.parametrize("name", FRAME_LIES)
def test_a_frame_that_nobody_described_is_refused(shelf: Any, name: str) -> None:
    folder, saved = shelf.save(FRAME)
    document = json.loads((folder / "frame.json").read_text())
    FRAME_LIES[name](document)
    (folder / "frame.json").write_text(json.dumps(document))
    with pytest.raises(MaterializerError):
        load(shelf, folder, saved.materializer, saved.type)


def test_offsets_outside_a_text_column_are_found_where_the_store_is_not_trusted(shelf: Any) -> None:
    folder, saved = shelf.save(pd.Series(["aaaa", "bbbb", "cccc"], dtype="string[pyarrow]"))
    file = folder / "rows-3.arrow"
    content = file.read_bytes()
    offsets = next(p for w in (4, 8) if (p := b"".join(n.to_bytes(w, "little") for n in (0, 4, 8, 12))) in content)
    width = len(offsets) // 4
    hostile = b"".join(n.to_bytes(width, "little") for n in (0, 1 << 30, 8, 12))
    file.write_bytes(content.replace(offsets, hostile))
    with pytest.raises(MaterializerError, match="not the Arrow file that was written"):
        load(shelf, folder, saved.materializer, saved.type)


def test_an_image_that_claims_more_than_its_file_holds_is_refused(shelf: Any) -> None:
    folder, saved = shelf.save(Image.new("P", (3, 2)))
    document = json.loads((folder / "image.json").read_text())
    for size in ([10**5, 10**5], [-1, 2], [3, 3], "ab"):
        (folder / "image.json").write_text(json.dumps({**document, "size": size}))
        with pytest.raises(MaterializerError):
            load(shelf, folder, saved.materializer, saved.type)


def test_indices_outside_a_sparse_matrix_are_found_where_the_store_is_not_trusted(shelf: Any) -> None:
    for form in ("csr", "csc", "bsr", "coo"):
        folder, saved = shelf.save(getattr(sp, f"{form}_matrix")(np.eye(3)))
        part = folder / ("coordinates-0.npy" if form == "coo" else "indices.npy")
        wrong = np.load(part)
        wrong[0] = 10**6
        np.save(part, wrong)
        with pytest.raises(MaterializerError):
            load(shelf, folder, saved.materializer, saved.type)
    for lies in ([0, 5, 2, 3], [0, 1, 2, -3], [1, 1, 2, 3], [0, 1, 2, 9]):
        folder, saved = shelf.save(sp.csr_matrix(np.eye(3)))
        np.save(folder / "indptr.npy", np.array(lies, "i4"))
        with pytest.raises(MaterializerError):
            load(shelf, folder, saved.materializer, saved.type)
    folder, saved = shelf.save(sp.csr_matrix(np.eye(3)))
    for lie in ('"csr_matrix":"Popen"', '"csr_matrix":"os"'):
        text = (folder / "sparse.json").read_text()
        (folder / "sparse.json").write_text(text.replace("csr_matrix", lie.split('"')[3]))
        with pytest.raises(MaterializerError):
            load(shelf, folder, saved.materializer, saved.type)


def test_a_path_artifact_that_holds_nothing_or_two_things_is_refused(shelf: Any) -> None:
    folder = holding(shelf)
    (folder / "content").mkdir()
    for _ in range(2):
        with pytest.raises(MaterializerError, match="should hold one file or folder"):
            load(shelf, folder, "dovetail.materializers.paths:PathMaterializer")
        (folder / "content" / "a").touch()
        (folder / "content" / "b").touch()


def test_files_that_may_not_be_read_are_an_error_of_the_same_kind(shelf: Any) -> None:
    folder = holding(shelf)
    os.mkdir(folder / "value.json")
    with pytest.raises(MaterializerError, match="could not read the value"):
        load(shelf, folder)
