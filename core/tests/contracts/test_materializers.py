"""The built-in materializers keep the contract."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from dovetail.materializers.arrays import ArrayMaterializer
from dovetail.materializers.blobs import BytesMaterializer
from dovetail.materializers.estimators import EstimatorMaterializer
from dovetail.materializers.images import ImageMaterializer
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.pandas_frames import FrameMaterializer, IndexMaterializer, SeriesMaterializer
from dovetail.materializers.paths import PathMaterializer
from dovetail.materializers.polars_frames import PolarsMaterializer
from dovetail.materializers.sparse import SparseMaterializer
from dovetail.materializers.structure import StructureMaterializer
from dovetail.materializers.validations import ValidationMaterializer
from dovetail.testing import MaterializerContract
from dovetail.values.validation import Finding, Validation, Verdict
from PIL import Image
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: float
    y: float


@dataclass
class Report:
    title: str
    scores: dict[str, float]


class TestStructures(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return StructureMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [
            None, True, 1, 1.0, -0.0, math.nan, 2**80, "", "größe\x00", 1 + 2j,
            [], [1, [2.0, "3"]], (1,), {"b": 1, "a": [None]}, {1: "int", "1": "str"}, {1, 2}, frozenset({"a"}),
            collections.OrderedDict(b=1, a=2), collections.Counter("aab"), collections.defaultdict(list, a=[1]), collections.deque([1], maxlen=3),
            dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc), dt.timedelta(days=1, microseconds=1),
            decimal.Decimal("1.10"), Colour.RED, Point(1.0, math.inf), Report("a", {"x": 0.5}), range(3), slice(1, None),
            {"frame": pd.DataFrame({"a": [1, 2]}), "array": np.arange(3), "raw": b"\x00"},
        ]  # fmt: skip


class TestValidations(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return ValidationMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        findings = [
            Finding("drift", "drift", 1e-300, Verdict.WARN, "größe", "drift > 0.05", "it moved"),
            Finding("regression", "r2", -math.inf, Verdict.FAIL),
            Finding("own", "unmeasured", None),
        ]
        report = {"numbers": [1, 1.5, None], "$": "text", "deep": {"a": [{"b": True}]}}
        return [Validation(Verdict.FAIL, findings, "acme 1.0", "<html>größe</html>", report, {"current": 3}), Validation(Verdict.PASS, [], "acme 1.0", "", None)]


class TestBytes(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return BytesMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [b"", b"\x00\xff" * 1000, bytearray(b"abc")]


class TestPaths(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return PathMaterializer

    @pytest.fixture
    def values(self, tmp_path: Path) -> list[Any]:
        folder = tmp_path / "folder"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "größe.txt").write_text("content")
        (tmp_path / "file.txt").write_text("text")
        return [tmp_path / "file.txt", folder]

    @pytest.fixture
    def equal(self) -> Any:
        return lambda one, other: contents(one) == contents(other)


def contents(path: Path) -> Any:
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    return path.name, path.read_bytes()


class TestArrays(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return ArrayMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [
            np.arange(6, dtype="i2").reshape(2, 3), np.array([0.1, math.nan], "f4"), np.array(3), np.empty((0, 2)), np.array([True]),
            np.array(["a", "größe"]), np.array(["2024-01-01", "NaT"], "M8[s]"), np.asfortranarray(np.eye(3)),
            np.array([1, "a", None, [2]], dtype=object), np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        ]  # fmt: skip


FRAME = pd.DataFrame(
    {
        "int8": np.array([1, 2, 3], "i1"),
        "missing": [0.5, math.nan, -0.0],
        "text": ["a", None, "größe"],
        "category": pd.Categorical(["lo", "hi", None], categories=["lo", "hi", "unused"], ordered=True),
        "moment": pd.to_datetime(["2024-03-31 00:30", None, "2024-10-27 00:30"]).tz_localize("UTC"),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "objects": pd.Series([{1}, "a", decimal.Decimal("1.10")], dtype=object),
    },
    index=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", None]),
)


class TestFrames(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return FrameMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [FRAME, FRAME.reset_index(drop=True), pd.DataFrame(), pd.DataFrame(np.eye(3, dtype="f4")), FRAME[:0]]


class TestSeries(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return SeriesMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [FRAME[name] for name in FRAME] + [pd.Series([], dtype="f4", name=("a", 1))]


class TestIndexes(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return IndexMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [
            FRAME.index,
            pd.RangeIndex(0, 9, 3, name="r"),
            pd.Index(["a", "b"], name="text"),
            pd.date_range("2024-01-01", periods=3),
        ]


class TestPolars(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return PolarsMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        frame = pl.DataFrame(
            {"a": [1, None, 3], "b": ["x", "größe", None], "c": [[1.5], [], None]}, schema_overrides={"a": pl.Int8}
        )
        return [frame, frame["b"], frame[:0]]


class TestSparse(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return SparseMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        matrix = sp.random(20, 10, density=0.2, format="csr", dtype="f4", random_state=0)
        return [matrix, matrix.tocsc(), sp.csr_array(matrix), sp.coo_matrix((3, 3))]


class TestEstimators(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return EstimatorMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        rows = np.arange(20.0).reshape(10, 2)
        return [LinearRegression(), make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] > 9)]

    @pytest.fixture
    def equal(self) -> Any:
        rows = np.arange(6.0).reshape(3, 2)

        def answers(model: Any) -> Any:
            return model.predict(rows).tolist() if hasattr(model, "steps") else model.get_params()

        return lambda one, other: answers(one) == answers(other)


class TestImages(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return ImageMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [Image.new("RGB", (4, 3), (1, 2, 3)), Image.fromarray(np.arange(12, dtype="u1").reshape(3, 4))]
